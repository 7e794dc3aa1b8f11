"""Inference engines behind one small protocol. Each file is one engine and imports its library only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx

from uav_perception.inference.errors import BackendError
from uav_perception.inference.model_file import Shape

BACKENDS = ("onnxruntime", "tensorrt", "tensorrt_rtx", "openvino")
ENGINE_LIBRARIES = ("tensorrt", "tensorrt_rtx")  # those that build an engine first
PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True)
class BackendOptions:
    """How an engine runs.

    Attributes:
        threads: CPU threads inside one inference; 0 lets the engine choose.
        allow_spinning: ONNX Runtime's threads wait actively between inferences. Off, a small network at 30 Hz takes a
            third of the processor time and about twice the latency.
        providers: ONNX Runtime's execution providers, the first that works is used.
        allow_external_data: accept a model whose weights lie in other files.
        precision: "fp32" or "fp16", TensorRT and OpenVINO only; INT8 is part of the model file.
        cache_directory: where TensorRT's engines are kept; None for the folder ``engines`` beside the model, or one in
            the user's cache where that cannot be written.
        input_shapes: shapes of inputs that the graph leaves free, TensorRT only. A free batch needs none.
        max_batch: largest batch of a graph with a free batch, TensorRT only.

    Raises:
        BackendError: an option is out of its range.
    """

    threads: int = 0
    allow_spinning: bool = True
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    allow_external_data: bool = False
    precision: str = "fp32"
    cache_directory: Path | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    max_batch: int = 16

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise BackendError(f"`threads` must be 0 (the engine chooses) or more, not {self.threads}.")
        if self.max_batch < 1:
            raise BackendError(f"`max_batch` must be 1 or more, not {self.max_batch}.")
        if self.precision not in PRECISIONS:
            raise BackendError(f"Unknown precision {self.precision!r}. Known are: {', '.join(PRECISIONS)}.")


class Backend(Protocol):
    """A network ready to run. One object serves one thread.

    Attributes:
        description: engine, version and device, for logs and diagnostics.
        inputs: name and shape of each input.
        outputs: name and shape of each output.
    """

    description: str
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once.

        Args:
            feeds: an array for each input.

        Returns:
            An array for each output. They may be overwritten by the next call.

        Raises:
            BackendError: the engine refused.
        """
        ...


def make_backend(name: str, model: str | Path | onnx.ModelProto, options: BackendOptions | None = None) -> Backend:
    """Load a network into an engine.

    Args:
        name: one of `BACKENDS`.
        model: an ONNX file, or a model in memory.
        options: how to run it.

    Raises:
        BackendError: the engine is unknown, not installed, or refuses the model.
        ModelError: the file is missing or broken.
    """
    options = options or BackendOptions()
    if name == "onnxruntime":
        from uav_perception.inference.backends.onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(model, options)
    if name in ENGINE_LIBRARIES:
        from uav_perception.inference.backends.tensorrt import TensorRtBackend

        return TensorRtBackend(model, options, library=name)
    if name == "openvino":
        from uav_perception.inference.backends.openvino import OpenVinoBackend

        return OpenVinoBackend(model, options)
    raise BackendError(f"Unknown backend {name!r}. Known are: {', '.join(BACKENDS)}.")
