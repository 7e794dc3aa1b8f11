"""An action model: one ONNX file, run as two networks so that the features of past images can be kept.

The file holds two independent parts in one graph (`larmuv`): ``frames`` (B, 3, H, W) to ``features`` (B, D), the
backbone, and ``window`` (B, K, D) to ``logits`` (B, C), the transformer over K frames. A file with the single input
``clip`` (B, K, 3, H, W) works too: what is kept then are the prepared pixels, and every tick pays for K images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx.utils import Extractor

from uav_perception.actions.errors import ActionError
from uav_perception.inference.backends import ENGINE_LIBRARIES, Backend, BackendOptions, make_backend
from uav_perception.inference.backends.tensorrt_cache import cache_directory
from uav_perception.inference.contract import ModelContract, read_contract
from uav_perception.inference.model_file import load_model
from uav_perception.inference.preprocess import Preprocessor


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def cut(model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """The part of a graph that leads from ``inputs`` to ``outputs``, as a model of its own.

    Raises:
        ActionError: the outputs depend on another input, so the two parts are not independent.
    """
    part = Extractor(model).extract_model(list(inputs), list(outputs))
    made = {name for node in part.graph.node for name in node.output} | {t.name for t in part.graph.initializer}
    needed = {name for node in part.graph.node for name in node.input if name}
    foreign = sorted(needed - made - set(inputs))
    if foreign:
        raise ActionError(
            f"Output {', '.join(outputs)} of the action model depends on {', '.join(foreign)} besides "
            f"{', '.join(inputs)}. The backbone and the transformer must be independent parts of the graph; "
            "export the model again."
        )
    return part


class ActionModel:
    """An action model ready to run.

    Args:
        path: the ONNX file with its contract.
        backend: inference engine, see `make_backend`.
        contract_file: YAML contract to use instead of what the model carries.
        options: how the engine runs.

    Attributes:
        contract: what the file says about itself.
        class_names: class_names[class_id].
        segments: K, images a window.
        window_s: length of the window [s].
        tick_hz: backbone passes a second the model was made for.
        description: engine, version and device, for logs and diagnostics.

    Raises:
        ModelError: the file is missing, broken or contradicts its contract.
        ActionError: it is no action model, or its two parts are not independent.
        BackendError: the engine cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        backend: str = "onnxruntime",
        contract_file: str | Path | None = None,
        options: BackendOptions | None = None,
    ) -> None:
        engine = options or BackendOptions()
        if backend in ENGINE_LIBRARIES and engine.cache_directory is None:
            # The two networks are cut out in memory: only here is it known beside which file their engines belong.
            engine = replace(engine, cache_directory=cache_directory(Path(path), None))
        self.contract = _action_contract(path, contract_file, engine)
        self.class_names = self.contract.class_names
        constants = self.contract.decoder_options
        self.segments = int(constants["segments"])
        self.window_s = float(constants["window_seconds"])
        self.tick_hz = float(constants["tick_hz"])
        self._of_frames = Preprocessor(self.contract)
        self._of_crops = Preprocessor(replace(self.contract, resize="stretch"))
        graph = _whole(path, engine)
        self._backbone: Backend | None = None
        # Engines are built for batches up to a size; there may be more actors.
        self._largest_batch = engine.max_batch if backend in ENGINE_LIBRARIES else None
        self._head_input = "clip" if "clip" in {value.name for value in graph.graph.input} else "window"
        if self._head_input == "window":
            self._backbone = make_backend(backend, cut(graph, ["frames"], ["features"]), engine)
        self._head = make_backend(backend, cut(graph, [self._head_input], ["logits"]), engine)
        self.description = self._head.description

    def preprocess_frames(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Whole images, uint8 BGR, to float32, shape (B, 3, H, W), by the contract's rule."""
        return _batch(self._of_frames, images)

    def preprocess_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Square crops, uint8 BGR, to float32, shape (B, 3, H, W). Nothing is cut off: the crop fills the input."""
        return _batch(self._of_crops, crops)

    def features(self, frames: np.ndarray) -> np.ndarray:
        """Run the backbone.

        Args:
            frames: float32, shape (B, 3, H, W).

        Returns:
            float32, shape (B, D), an array of its own; the frames themselves for a model of whole clips.
        """
        if self._backbone is None:
            return frames
        return self._run(self._backbone, "frames", "features", frames)

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Run the transformer.

        Args:
            windows: float32, shape (B, K, D), what `features` gave for K images, oldest first.

        Returns:
            float32, shape (B, C).
        """
        return self._run(self._head, self._head_input, "logits", windows)

    def _run(self, backend: Backend, fed: str, wanted: str, batch: np.ndarray) -> np.ndarray:
        """One output for a batch, in parts that the engine takes."""
        step = self._largest_batch or max(len(batch), 1)
        starts = range(0, max(len(batch), 1), step)
        return np.concatenate([np.array(backend.run({fed: batch[i : i + step]})[wanted]) for i in starts])


def _batch(preprocess: Preprocessor, images: Sequence[np.ndarray]) -> np.ndarray:
    contract = preprocess.contract
    batch = np.empty((len(images), 3, contract.input_height, contract.input_width), np.float32)
    for row, image in zip(batch, images, strict=True):
        row[:] = preprocess(image)[0][0]  # its tensor is overwritten by the next call
    return batch


def _whole(path: str | Path, options: BackendOptions) -> onnx.ModelProto:
    """The graph with its weights, those in other files included where they are allowed."""
    graph = load_model(path, options.allow_external_data)
    if options.allow_external_data:
        onnx.load_external_data_for_model(graph, str(Path(path).parent))
    return graph


def _action_contract(path: str | Path, contract_file: str | Path | None, options: BackendOptions) -> ModelContract:
    contract = read_contract(path, contract_file, options.allow_external_data)
    if contract.task != "action":
        raise ActionError(
            f"{path} is a model for task {contract.task!r}; an action model is needed. Give it to the detector instead."
        )
    return contract
