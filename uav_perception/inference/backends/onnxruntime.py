"""ONNX Runtime: the default engine, the same on every machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from uav_perception.inference.backends import BackendOptions
from uav_perception.inference.errors import BackendError
from uav_perception.inference.model_file import input_shapes, load_model, output_shapes


class OnnxRuntimeBackend:
    """A network in ONNX Runtime.

    Args:
        model: an ONNX file, or a model in memory.
        options: threads, spinning, providers, external data.

    Raises:
        ModelError: the file is missing or broken.
        BackendError: ONNX Runtime refuses the model or a provider.
    """

    def __init__(self, model: str | Path | onnx.ModelProto, options: BackendOptions) -> None:
        in_memory = isinstance(model, onnx.ModelProto)
        graph = model if in_memory else load_model(model, options.allow_external_data)
        self.inputs, self.outputs = input_shapes(graph), output_shapes(graph)
        # From a path only where weights outside the file are allowed: from bytes, ONNX Runtime opens no other file.
        source = str(model) if options.allow_external_data and not in_memory else graph.SerializeToString()
        what = "a model in memory" if in_memory else str(model)
        missing = [name for name in options.providers if name not in onnxruntime.get_available_providers()]
        if missing:
            raise BackendError(
                f"This ONNX Runtime has no provider {', '.join(missing)}; it has "
                f"{', '.join(onnxruntime.get_available_providers())}. Install the build of onnxruntime that brings it."
            )
        try:
            self._session = onnxruntime.InferenceSession(source, _session_options(options), list(options.providers))
        except Exception as error:  # its exceptions share no base class below Exception
            raise BackendError(f"ONNX Runtime {onnxruntime.__version__} refuses {what}: {error}") from error
        self._names = list(self.outputs)
        self.description = f"ONNX Runtime {onnxruntime.__version__}, {self._session.get_providers()[0]}"

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Backend.run`."""
        try:
            results = self._session.run(self._names, feeds)
        except Exception as error:  # its exceptions share no base class below Exception
            shapes = ", ".join(f"{name} {value.dtype} {value.shape}" for name, value in feeds.items())
            raise BackendError(f"ONNX Runtime could not run the network on {shapes}: {error}") from error
        return dict(zip(self._names, results, strict=True))


def _session_options(options: BackendOptions) -> onnxruntime.SessionOptions:
    session = onnxruntime.SessionOptions()
    session.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session.intra_op_num_threads = options.threads
    session.log_severity_level = 3  # errors only; they are raised as well
    spinning = "1" if options.allow_spinning else "0"
    session.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return session
