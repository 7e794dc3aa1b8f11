"""Mild faults of a real camera: exposure, colour cast, softness, noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Degradation:
    """What a camera does to the image.

    Attributes:
        gains: factor of blue, green and red (exposure and white balance).
        gamma: exponent, above 1 darkens the middle tones.
        blur: standard deviation of a Gaussian blur [px], 0 for none.
        noise: standard deviation of the pixel noise, in 0..255 units.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if min(self.gains) <= 0 or self.gamma <= 0:
            raise ValueError(f"Gains and gamma must be positive, got gains {self.gains} and gamma {self.gamma}.")
        if self.blur < 0 or self.noise < 0:
            raise ValueError(f"Blur and noise must not be negative, got blur {self.blur} and noise {self.noise}.")

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Degrade a uint8 BGR image; the noise is drawn from ``rng``."""
        if self.blur > 0:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        levels = np.linspace(0, 1, 256)[:, None] ** self.gamma * np.array(self.gains) * 255
        curve = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        image = cv2.LUT(image, curve.reshape(1, 256, 3))
        if self.noise > 0:
            grain = self.noise * rng.standard_normal(image.shape, dtype=np.float32)
            image = np.clip(image + np.round(grain), 0, 255).astype(np.uint8)
        return image


def random_degradation(rng: np.random.Generator, first: np.ndarray) -> Degradation:
    """Draw a camera: most are good, some are soft or noisy. The exposure is set by the first image and then kept.

    Args:
        first: the first image, uint8 BGR; its mean is brought to 85..140 with a factor of 0.6..2.5.
    """
    exposure = float(np.clip(rng.uniform(85, 140) / max(float(first.mean()), 1.0), 0.6, 2.5))
    return Degradation(
        gains=tuple(float(exposure * g) for g in rng.uniform(0.94, 1.06, 3)),
        gamma=float(rng.uniform(0.8, 1.15)),
        blur=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.35 else 0.0,
        noise=float(rng.uniform(0.0, 7.0)),
    )
