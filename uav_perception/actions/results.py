"""What the recogniser says in one tick."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN_LABEL = "unknown"


@dataclass(frozen=True)
class ClassScore:
    """One class with its probability.

    Attributes:
        class_id: index into the model's class names.
        class_name: the class in words.
        score: probability of the window, softmax over all classes, 0 to 1.
    """

    class_id: int
    class_name: str
    score: float


@dataclass(frozen=True)
class ActionResult:
    """What is being done, in the whole image or by one actor, judged from the newest image.

    Attributes:
        scope: ``"frame"`` or ``"track"``.
        track_id: the actor, -1 for the whole image.
        label: the steadied label; ``"unknown"`` until the window holds K distinct images, or when no class is sure.
        score: averaged probability of the label, 0 to 1; 0 when unknown.
        scores: the best classes of this window alone, by falling score; empty while the window is not full.
        window_start_ns: stamp of the oldest image that was used [ns].
        window_end_ns: stamp of the newest image that was used [ns]; it lies in the last segment before the image just
            given.
        segments: K, how many images the network looks at.
    """

    scope: str
    track_id: int
    label: str
    score: float
    scores: tuple[ClassScore, ...]
    window_start_ns: int
    window_end_ns: int
    segments: int
