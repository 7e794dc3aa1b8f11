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
from uav_perception.inference.contract import ModelContract, read_contract
from uav_perception.inference.model_file import load_model


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
        backend: inference engine.

    Attributes:
        contract: what the file says about itself.
        class_names: class_names[class_id].
        segments: K, images a window.
        window_s: length of the window [s].
        tick_hz: backbone passes a second the model was made for.

    Raises:
        ModelError: the file is missing, broken or contradicts its contract.
        ActionError: it is no action model, or its two parts are not independent.
    """

    def __init__(self, path: str | Path, backend: str = "onnxruntime") -> None:
        self.contract = _action_contract(path)
        self.class_names = self.contract.class_names
        options = self.contract.decoder_options
        self.segments = int(options["segments"])
        self.window_s = float(options["window_seconds"])
        self.tick_hz = float(options["tick_hz"])
        self._crop_contract = replace(self.contract, resize="stretch")
        graph = load_model(path)
        if "clip" in {value.name for value in graph.graph.input}:
            self._backbone = None
            self._head = _Network(cut(graph, ["clip"], ["logits"]), backend)
        else:
            self._backbone = _Network(cut(graph, ["frames"], ["features"]), backend)
            self._head = _Network(cut(graph, ["window"], ["logits"]), backend)

    def preprocess_frames(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Whole images, uint8 BGR, to float32, shape (B, 3, H, W), by the contract's rule."""
        return np.concatenate([_prepare(image, self.contract) for image in images])

    def preprocess_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Square crops, uint8 BGR, to float32, shape (B, 3, H, W). Nothing is cut off: the crop fills the input."""
        return np.concatenate([_prepare(crop, self._crop_contract) for crop in crops])

    def features(self, frames: np.ndarray) -> np.ndarray:
        """Run the backbone.

        Args:
            frames: float32, shape (B, 3, H, W).

        Returns:
            float32, shape (B, D); the frames themselves for a model of whole clips.
        """
        return frames if self._backbone is None else self._backbone(frames)

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Run the transformer.

        Args:
            windows: float32, shape (B, K, D), what `features` gave for K images, oldest first.

        Returns:
            float32, shape (B, C).
        """
        return self._head(windows)


def _action_contract(path: str | Path) -> ModelContract:
    contract = read_contract(path)
    if contract.task != "action":
        raise ActionError(
            f"{path} is a model for task {contract.task!r}; an action model is needed. Give it to the detector instead."
        )
    return contract


class _Network:
    """One half, in ONNX Runtime."""

    def __init__(self, graph: onnx.ModelProto, backend: str) -> None:
        import onnxruntime

        if backend != "onnxruntime":
            raise ActionError(f"Unknown backend {backend!r}; use 'onnxruntime'.")
        options = onnxruntime.SessionOptions()
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: tensor})[0]


def _prepare(image: np.ndarray, contract: ModelContract) -> np.ndarray:
    import cv2

    height, width = contract.input_height, contract.input_width
    if contract.resize == "short_side_crop":
        scale = contract.resize_short_side / min(image.shape[:2])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        image = image[top : top + height, left : left + width]
    else:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if contract.color == "rgb":
        image = image[:, :, ::-1]
    pixels = (image.astype(np.float32) - np.float32(contract.mean)) / np.float32(contract.std)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
