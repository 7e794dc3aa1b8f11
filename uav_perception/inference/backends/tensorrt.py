"""TensorRT 10 and 11, and TensorRT for RTX: engines built on this machine from the ONNX file.

Running an engine needs an NVIDIA GPU; see docs/tensorrt.md for what was tried where. `inference/verify.py` compares
with ONNX Runtime on the user's own device.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from pathlib import Path

import numpy as np
import onnx

from uav_perception.inference.backends import BackendOptions
from uav_perception.inference.backends.cuda import Buffer, Stream, cuda_runtime, describe_device
from uav_perception.inference.backends.tensorrt_build import build_engine, load_library, make_logger, to_half
from uav_perception.inference.backends.tensorrt_cache import (
    CachedEngine,
    cache_directory,
    cached_engine,
    fingerprint,
    forget,
)
from uav_perception.inference.errors import BackendError
from uav_perception.inference.model_file import input_shapes, load_model, output_shapes

_LOG = logging.getLogger(__name__)


def prepare_engine(
    model: str | Path | onnx.ModelProto, options: BackendOptions, library: str = "tensorrt", progress: bool = True
) -> CachedEngine:
    """Take a model's engine from the cache, or build it; nothing is run.

    Args:
        model: an ONNX file, or a model in memory (then ``options.cache_directory`` must be given).
        options: precision, shapes, largest batch, cache.
        library: "tensorrt" or "tensorrt_rtx".
        progress: show bars while building.

    Raises:
        BackendError: TensorRT is not installed, or refuses the model.
        ModelError: the file is missing or broken.
    """
    trt = load_library(library)
    graph = model if isinstance(model, onnx.ModelProto) else load_model(model, options.allow_external_data)
    content = graph.SerializeToString()
    if not isinstance(model, onnx.ModelProto):
        path = Path(model)
        folder, stem = cache_directory(path, options.cache_directory), path.stem
    elif options.cache_directory is not None:
        # Two parts of one file share a folder: their outputs tell them apart.
        folder = cache_directory(options.cache_directory, options.cache_directory)
        outputs = "-".join(value.name for value in graph.graph.output)
        stem = f"{re.sub(r'[^A-Za-z0-9_-]', '_', outputs)[:40]}-{hashlib.sha256(content).hexdigest()[:12]}"
    else:
        raise BackendError("A model in memory needs `cache_directory`, a folder for its TensorRT engine.")
    shapes = {name: list(shape) for name, shape in options.input_shapes.items()}
    built_with = {"precision": options.precision, "input_shapes": shapes, "max_batch": options.max_batch}
    wanted = fingerprint(content, built_with, f"{library} {trt.__version__}", describe_device())

    def build() -> bytes:
        final = to_half(graph) if options.precision == "fp16" else graph
        return build_engine(trt, final, options.input_shapes, options.max_batch, progress)

    return cached_engine(folder / f"{stem}.{library}.{options.precision}.engine", wanted, build)


def load_engine(
    runtime: object, logger: object, model: str | Path | onnx.ModelProto, options: BackendOptions, library: str
) -> object:
    """Prepare an engine and load it onto the device; one that the device refuses is built again once.

    Args:
        runtime: ``trt.Runtime(logger)``.
        logger: from `make_logger`.
        model: see `prepare_engine`, like the rest.
        options: see `prepare_engine`.
        library: see `prepare_engine`.

    Raises:
        BackendError: the device refuses a fresh engine, or there is none.
    """
    engine = prepare_engine(model, options, library)
    loaded = runtime.deserialize_cuda_engine(engine.plan)
    if loaded is None and not engine.built and describe_device()["name"] != "none":
        _LOG.warning("The device refuses the cached engine %s; building it again.", engine.path)
        forget(engine.path)
        engine = prepare_engine(model, options, library)
        loaded = runtime.deserialize_cuda_engine(engine.plan)
    if loaded is None:
        raise BackendError(
            f"The engine {engine.path} cannot be loaded ({logger.last(1)}). Running it needs an NVIDIA GPU with its "
            "driver; without one use the backend 'onnxruntime'."
        )
    return loaded


class TensorRtBackend:
    """A network in TensorRT: pinned buffers, one stream, a CUDA graph where inputs of one shape follow each other.

    Args:
        model: an ONNX file, or a model in memory.
        options: see `prepare_engine`.
        library: "tensorrt" or "tensorrt_rtx".

    Raises:
        BackendError: TensorRT or CUDA is missing, there is no GPU, or the model cannot be built or run.
        ModelError: the file is missing or broken.
    """

    def __init__(self, model: str | Path | onnx.ModelProto, options: BackendOptions, library: str = "tensorrt") -> None:
        self._trt = load_library(library)
        self._cuda = cuda_runtime()
        graph = model if isinstance(model, onnx.ModelProto) else load_model(model, options.allow_external_data)
        self.inputs, self.outputs = input_shapes(graph), output_shapes(graph)
        self._logger = make_logger(self._trt)
        self._runtime = self._trt.Runtime(self._logger)
        self._engine = load_engine(self._runtime, self._logger, model, options, library)
        self._stream = Stream(self._cuda)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError(f"TensorRT cannot run the engine: {self._logger.last()}")
        self._buffers = {name: self._allocate(name) for name in [*self.inputs, *self.outputs]}
        self._shapes: tuple | None = None
        self._runs = 0  # of inputs of these shapes, one after the other
        self._graph: object | None = None
        self._graphs_work = True
        device = describe_device()
        self.description = f"{library} {self._trt.__version__}, {options.precision}, {device['name']}"

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Backend.run`. The arrays are views of pinned memory, overwritten by the next call."""
        shapes = tuple(feeds[name].shape for name in self.inputs)
        if shapes != self._shapes:
            self._forget_graph()
            self._shapes, self._runs = None, 0  # refused shapes leave the context half changed
            self._set_shapes(feeds)
            self._shapes = shapes
        for name in self.inputs:
            buffer, value = self._buffers[name], feeds[name]
            np.copyto(buffer.host[: value.size], value.reshape(-1), casting="same_kind")
        if self._graph is not None:
            self._stream.launch(self._graph)
        else:
            self._enqueue(shapes)
        self._stream.wait()
        # The first run of a shape lets TensorRT set itself up, which must not be recorded; the second shows that the
        # shape stays, as a picture's does and the number of actors does not.
        self._runs += 1
        if self._runs == 2 and self._graphs_work:
            self._capture(shapes)
        return {name: self._result(name) for name in self.outputs}

    def _allocate(self, name: str) -> Buffer:
        """Buffers for the largest shape, made once: graphs remember addresses."""
        if self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT:
            largest = tuple(self._engine.get_tensor_shape(name))
            if -1 in largest:
                largest = tuple(self._engine.get_tensor_profile_shape(name, 0)[2])
            self._context.set_input_shape(name, largest)
        shape = tuple(self._context.get_tensor_shape(name))
        if min(shape, default=1) < 0:
            raise BackendError(
                f"Output {name!r} has the shape {shape}, which depends on the picture. Export the model without "
                "suppression inside; it is done here."
            )
        dtype = np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))
        buffer = Buffer(self._cuda, math.prod(shape), dtype)
        self._context.set_tensor_address(name, buffer.device)
        return buffer

    def _set_shapes(self, feeds: dict[str, np.ndarray]) -> None:
        for name in self.inputs:
            if not self._context.set_input_shape(name, feeds[name].shape):
                raise BackendError(f"The engine was not built for input {name!r} of shape {feeds[name].shape}.")

    def _enqueue(self, shapes: tuple) -> None:
        for name, shape in zip(self.inputs, shapes, strict=True):
            self._buffers[name].upload(math.prod(shape), self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise BackendError(f"TensorRT could not run the network: {self._logger.last()}")
        for name in self.outputs:
            self._buffers[name].download(math.prod(self._context.get_tensor_shape(name)), self._stream)

    def _capture(self, shapes: tuple) -> None:
        """Record one run as a CUDA graph; where that is refused, plain execution goes on."""
        self._stream.begin_capture()
        try:
            self._enqueue(shapes)
            self._graph = self._stream.end_capture()
        except BackendError as error:
            self._stream.abandon_capture()
            self._graphs_work = False
            _LOG.warning("No CUDA graph, the engine runs without one: %s", error)

    def _forget_graph(self) -> None:
        """A graph holds the state of the context that it was recorded from, and must not be run once that is changed
        (TensorRT's guide, CUDA graphs)."""
        if self._graph is not None:
            self._stream.forget(self._graph)
            self._graph = None

    def _result(self, name: str) -> np.ndarray:
        shape = tuple(self._context.get_tensor_shape(name))
        return self._buffers[name].host[: math.prod(shape)].reshape(shape)
