"""From an ONNX model to a serialised TensorRT engine: parse, build, show progress.

Uses only names that TensorRT 10.3 to 11 and TensorRT for RTX share. Networks are strongly typed, so the precision is
that of the ONNX file: FP16 is made by converting the file, INT8 by QuantizeLinear and DequantizeLinear nodes in it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType

import onnx
from tqdm import tqdm

from uav_perception.inference.errors import BackendError
from uav_perception.inference.model_file import Shape, input_shapes

LIBRARIES = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}  # module, and the package that brings it
_WORKSPACE_BYTES = 1 << 30


def load_library(name: str) -> ModuleType:
    """Import TensorRT or TensorRT for RTX.

    Raises:
        BackendError: it is unknown, or not installed.
    """
    if name not in LIBRARIES:
        raise BackendError(f"Unknown TensorRT library {name!r}. Known are: {', '.join(LIBRARIES)}.")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendError(
            f"The backend {name!r} needs the module {name!r} ({error}). Install it with "
            f"`pip install {LIBRARIES[name]}`; on a Jetson it comes with JetPack."
        ) from error


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert a float32 model to float16 inside; its inputs and outputs stay float32.

    Raises:
        BackendError: the model is quantised; its precision is fixed already.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise BackendError("A quantised (INT8) model cannot be converted to FP16. Build it with precision fp32.")
    return convert_float_to_float16(model, keep_io_types=True)


def build_engine(
    trt: ModuleType,
    model: onnx.ModelProto,
    shapes: Mapping[str, tuple[int, ...]],
    max_batch: int,
    progress: bool = True,
) -> bytes:
    """Build an engine.

    Args:
        trt: from `load_library`.
        model: what to build, in its final precision.
        shapes: of inputs that the graph leaves free.
        max_batch: largest batch of inputs whose first dimension only is free.
        progress: show bars on stderr; a build takes from a second to many minutes.

    Returns:
        The serialised engine. It holds code: load only what was built here.

    Raises:
        BackendError: TensorRT cannot parse or build the model; its own messages are given.
    """
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model.SerializeToString()):
        problems = "; ".join(_describe(parser.get_error(index), model) for index in range(parser.num_errors))
        raise BackendError(f"TensorRT {trt.__version__} cannot parse the model: {problems or logger.last()}.")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    _add_profile(builder, config, input_shapes(model), shapes, max_batch)
    monitor = _make_monitor(trt) if progress else None
    if monitor is not None:
        config.progress_monitor = monitor
    try:
        plan = builder.build_serialized_network(network, config)
    finally:
        if monitor is not None:
            monitor.close()
    if plan is None:
        raise BackendError(f"TensorRT {trt.__version__} cannot build an engine of the model: {logger.last()}")
    return bytes(plan)


def _describe(error: object, model: onnx.ModelProto) -> str:
    index = error.node()
    if not 0 <= index < len(model.graph.node):
        return error.desc()
    node = model.graph.node[index]
    return f"{node.op_type} {node.name!r} (node {index}): {error.desc()}"


def _add_profile(
    builder: object, config: object, inputs: Mapping[str, Shape], shapes: Mapping[str, tuple[int, ...]], max_batch: int
) -> None:
    """State the range of every input with a free dimension."""
    free = {name: shape for name, shape in inputs.items() if None in shape}
    if not free:
        return
    profile = builder.create_optimization_profile()
    for name, shape in free.items():
        if name in shapes:
            low = usual = high = tuple(shapes[name])
        elif None not in shape[1:]:
            low = usual = (1, *shape[1:])
            high = (max_batch, *shape[1:])
        else:
            sides = tuple("?" if side is None else side for side in shape)
            raise BackendError(
                f"Input {name!r} has the shape {sides}, but TensorRT must know its size. "
                "Export the model with fixed sides."
            )
        profile.set_shape(name, low, usual, high)
    config.add_optimization_profile(profile)


def make_logger(trt: ModuleType) -> object:
    """A TensorRT logger that keeps warnings and errors, to be quoted in exceptions, instead of printing them."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: object, message: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:
                self.lines.append(message.strip())

        def last(self, count: int = 3) -> str:
            """The newest messages, or a sentence that there are none."""
            return " | ".join(self.lines[-count:]) or "it gave no reason"

    return Logger()


def _make_monitor(trt: ModuleType) -> object:
    class Monitor(trt.IProgressMonitor):
        """A bar for the build and one for each of its main phases; what is nested deeper is not shown."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._bars: dict[str, tqdm] = {}
            self._outermost = ""

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self._outermost = phase_name
            if parent_phase in (None, "", self._outermost):
                self._bars[phase_name] = tqdm(total=num_steps, desc=phase_name, leave=not parent_phase)

        def step_complete(self, phase_name: str, step: int) -> bool:
            bar = self._bars.get(phase_name)
            if bar is not None:
                bar.update(step + 1 - bar.n)
            return True

        def phase_finish(self, phase_name: str) -> None:
            bar = self._bars.pop(phase_name, None)
            if bar is not None:
                bar.update(bar.total - bar.n)
                bar.close()

        def close(self) -> None:
            for bar in self._bars.values():
                bar.close()
            self._bars.clear()

    return Monitor()
