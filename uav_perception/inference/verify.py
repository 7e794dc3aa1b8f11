"""Does an engine compute what the ONNX file says? ONNX Runtime in float32 is the reference."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uav_perception.inference.backends import Backend, BackendOptions, make_backend
from uav_perception.inference.errors import BackendError


@dataclass(frozen=True)
class Verification:
    """How far an engine's outputs lie from the reference.

    Attributes:
        relative_error: root mean square of the difference over that of the reference, the worst output and input.
        largest_difference: largest absolute difference of any value.
        milliseconds: median time of the engine's runs.
        reference_milliseconds: of ONNX Runtime's.
        tolerance: the relative error that is allowed.
    """

    relative_error: float
    largest_difference: float
    milliseconds: float
    reference_milliseconds: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.relative_error <= self.tolerance


def verify(
    model: str | Path, backend: Backend, feeds: list[dict[str, np.ndarray]], tolerance: float = 0.02
) -> Verification:
    """Run the same inputs through an engine and through ONNX Runtime.

    Args:
        model: the float32 ONNX file that the engine stands for.
        backend: the engine.
        feeds: inputs, best of real pictures: noise does not excite a network as they do.
        tolerance: relative error that is allowed; 0.02 suits FP16, 0.1 INT8.

    Raises:
        BackendError: an engine refused, or the outputs have other names.
    """
    reference = make_backend("onnxruntime", model, BackendOptions())
    if set(reference.outputs) != set(backend.outputs):
        raise BackendError(f"The engine has the outputs {list(backend.outputs)}, the model {list(reference.outputs)}.")
    errors, differences, times, reference_times = [], [], [], []
    for values in feeds:
        expected, spent = _timed(reference, values)
        reference_times.append(spent)
        found, spent = _timed(backend, values)
        times.append(spent)
        for name, right in expected.items():
            difference = np.abs(found[name].astype(np.float64) - right)
            differences.append(float(difference.max(initial=0.0)))
            errors.append(_rms(difference) / max(_rms(right), 1e-12))
    return Verification(
        relative_error=max(errors),
        largest_difference=max(differences),
        milliseconds=float(np.median(times)),
        reference_milliseconds=float(np.median(reference_times)),
        tolerance=tolerance,
    )


def _timed(backend: Backend, feeds: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
    start = time.perf_counter()
    outputs = backend.run(feeds)
    return outputs, 1000 * (time.perf_counter() - start)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0
