"""The detector: a picture in, objects out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from uav_perception.inference.backends import BackendOptions, make_backend
from uav_perception.inference.contract import read_contract
from uav_perception.inference.decoders import WITHOUT_NMS, make_decoder
from uav_perception.inference.detections import Detections
from uav_perception.inference.errors import ModelError
from uav_perception.inference.model_file import input_shapes, load_model
from uav_perception.inference.nms import nms
from uav_perception.inference.preprocess import Placement, Preprocessor, check_picture
from uav_perception.inference.tiling import Tiling

DEFAULT_SCORE_THRESHOLD = 0.3
DEFAULT_IOU_THRESHOLD = 0.6  # mmdetection's for GFL, ATSS and FCOS
DEFAULT_MAX_DETECTIONS = 500  # VisDrone's


@dataclass(frozen=True)
class Timings:
    """How long the stages of the last `Detector.detect` took, all tiles together [ms]."""

    preprocess: float
    inference: float
    postprocess: float

    @property
    def total(self) -> float:
        """All stages [ms]."""
        return self.preprocess + self.inference + self.postprocess


@dataclass
class Work:
    """A picture between the steps of a detector.

    Attributes:
        width, height: of the picture [px].
        tensor: the network's input, its own memory.
        place: where the picture lies in it.
        outputs: of the network, their own memory; empty before it ran.
        spent: duration of each step so far [ms].
    """

    width: int
    height: int
    tensor: np.ndarray
    place: Placement
    outputs: dict[str, np.ndarray]
    spent: dict[str, float]


class Detector:
    """Runs a detection model. One object serves one thread, or three that share the steps of :meth:`detect`.

    Thresholds that are not given come from the contract's ``decoder_options`` of the same names, and else from this
    module's defaults. They may be changed between calls.

    Args:
        path: ONNX file with its contract.
        backend: "onnxruntime", "tensorrt", "tensorrt_rtx" or "openvino".
        score_threshold: detections below are dropped, 0 to 1.
        iou_threshold: overlap from which the less sure of two boxes falls; unused by models without suppression.
        max_detections: how many objects a picture has at most.
        class_agnostic: boxes of different classes suppress each other too.
        tiling: cut large pictures into tiles.
        contract_file: YAML contract to use instead of what the model carries.
        options: of the backend.

    Attributes:
        contract: what the model says about itself.
        timings: of the last `detect`; None before.
        backend: the engine.

    Raises:
        ModelError: the model or its contract is missing, broken or of another task, or a threshold is out of its range.
        BackendError: the engine cannot run it.
    """

    def __init__(
        self,
        path: str | Path,
        backend: str = "onnxruntime",
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        class_agnostic: bool | None = None,
        tiling: Tiling | None = None,
        contract_file: str | Path | None = None,
        options: BackendOptions | None = None,
    ) -> None:
        options = options or BackendOptions()
        self.contract = read_contract(path, contract_file, options.allow_external_data)
        self._decode = make_decoder(self.contract)
        given = self.contract.decoder_options
        self.score_threshold = _first(score_threshold, given.get("score_threshold"), DEFAULT_SCORE_THRESHOLD)
        self.iou_threshold = _first(iou_threshold, given.get("iou_threshold"), DEFAULT_IOU_THRESHOLD)
        self.max_detections = int(_first(max_detections, given.get("max_detections"), DEFAULT_MAX_DETECTIONS))
        self.class_agnostic = bool(_first(class_agnostic, given.get("class_agnostic"), False))
        self.tiling = tiling
        self._check_thresholds()
        self.backend = make_backend(backend, path, self._with_shapes(path, options))
        self._preprocess = Preprocessor(self.contract)
        self._input, self._constants = _feeds(
            self.backend.inputs, self.contract.input_width, self.contract.input_height
        )
        self.timings: Timings | None = None

    def detect(self, image: np.ndarray) -> Detections:
        """Find the objects of a picture.

        Args:
            image: uint8, shape (H, W, 3), BGR.

        Returns:
            The objects by falling score, in pixels of this picture, clipped to it.

        Raises:
            ModelError: the array is no picture, or the network's outputs contradict the contract.
            BackendError: the engine refused.
        """
        check_picture(image)
        height, width = image.shape[:2]
        watch = _Stopwatch()
        found = self._detect_whole(image, watch) if self.tiling is None else self._detect_tiles(image, watch)
        result = self._visible(found, width, height)
        watch.lap("postprocess")
        self.timings = Timings(**watch.spent)
        return result

    def prepare(self, image: np.ndarray) -> Work:
        """First of the three steps of :meth:`detect`, for a caller that runs each on a thread of its own: the network
        is then busy with one picture while the one before is finished and the one after prepared. Without tiles.

        Args:
            image: as for :meth:`detect`.

        Raises:
            ModelError: the array is no picture, or the detector cuts pictures into tiles.
        """
        if self.tiling is not None:
            raise ModelError("A detector with tiles cannot be run in steps; call detect().")
        check_picture(image)
        watch = _Stopwatch()
        tensor, place = self._preprocess(image)
        tensor = tensor.copy()
        watch.lap("preprocess")
        return Work(image.shape[1], image.shape[0], tensor, place, {}, watch.spent)

    def infer(self, work: Work) -> None:
        """Second step: run the network.

        Raises:
            BackendError: the engine refused.
        """
        watch = _Stopwatch(work.spent)
        outputs = self.backend.run({self._input: work.tensor, **self._constants})
        work.outputs = {name: values.copy() for name, values in outputs.items()}  # some engines overwrite theirs
        watch.lap("inference")

    def finish(self, work: Work) -> Detections:
        """Third step: the objects, as :meth:`detect` gives them.

        Raises:
            ModelError: the network's outputs contradict the contract.
        """
        watch = _Stopwatch(work.spent)
        result = self._visible(self._objects(work.outputs, work.place), work.width, work.height)
        watch.lap("postprocess")
        return result

    def warm_up(self, runs: int = 2) -> None:
        """Run on a grey picture, so that the first real one does not pay for what the engine puts off."""
        image = np.full((self.contract.input_height, self.contract.input_width, 3), 114, np.uint8)
        for _ in range(runs):
            self._detect_whole(image, _Stopwatch())

    def _detect_tiles(self, image: np.ndarray, watch: _Stopwatch) -> Detections:
        height, width = image.shape[:2]
        tiles = self.tiling.tiles(width, height)
        if self.tiling.with_whole and len(tiles) > 1:
            tiles.append((0, 0, width, height))
        boxes, scores, class_ids = [], [], []
        for x_min, y_min, x_max, y_max in tiles:
            found = self._detect_whole(image[y_min:y_max, x_min:x_max], watch)
            boxes.append(found.boxes + np.array([x_min, y_min] * 2, np.float32))
            scores.append(found.scores)
            class_ids.append(found.class_ids)
        merged = Detections(np.concatenate(boxes), np.concatenate(scores), np.concatenate(class_ids))
        groups = None if self.class_agnostic else merged.class_ids
        threshold = self.tiling.merge_threshold
        return merged[nms(merged.boxes, merged.scores, groups, threshold, self.max_detections, over_smaller=True)]

    def _detect_whole(self, image: np.ndarray, watch: _Stopwatch) -> Detections:
        watch.start()
        tensor, place = self._preprocess(image)
        watch.lap("preprocess")
        outputs = self.backend.run({self._input: tensor, **self._constants})
        watch.lap("inference")
        result = self._objects(outputs, place)
        watch.lap("postprocess")
        return result

    def _objects(self, outputs: dict[str, np.ndarray], place: Placement) -> Detections:
        found = self._decode(outputs, self.score_threshold)
        kept = self._suppress(found.boxes, found.scores, found.class_ids)
        return Detections(place.to_picture(found.boxes[kept]), found.scores[kept], found.class_ids[kept])

    def _visible(self, found: Detections, width: int, height: int) -> Detections:
        """Clipped to the picture, what lies outside left out, the best ones."""
        boxes = np.clip(found.boxes, 0, np.array([width, height] * 2, np.float32))
        visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(boxes, found.scores, found.class_ids)[visible][: self.max_detections]

    def _with_shapes(self, path: str | Path, options: BackendOptions) -> BackendOptions:
        """Say the size of the picture input to engines that must know it before a graph with free sides is built."""
        shape = (1, 3, self.contract.input_height, self.contract.input_width)
        inputs = input_shapes(load_model(path, options.allow_external_data))
        pictures = {name: shape for name, sides in inputs.items() if len(sides) == 4 and None in sides}
        return replace(options, input_shapes={**pictures, **options.input_shapes})

    def _suppress(self, boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
        if self.contract.decoder in WITHOUT_NMS:
            return np.argsort(-scores, kind="stable")[: self.max_detections]
        groups = None if self.class_agnostic else class_ids
        return nms(boxes, scores, groups, self.iou_threshold, self.max_detections)

    def _check_thresholds(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ModelError(f"`{name}` must lie in 0..1, not {value}.")
        if self.max_detections < 1:
            raise ModelError(f"`max_detections` must be 1 or more, not {self.max_detections}.")


class _Stopwatch:
    """Adds up how long each stage takes [ms]."""

    def __init__(self, spent: dict[str, float] | None = None) -> None:
        self.spent = {"preprocess": 0.0, "inference": 0.0, "postprocess": 0.0} if spent is None else spent
        self.start()

    def start(self) -> None:
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.spent[stage] += 1000 * (now - self._since)
        self._since = now


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _feeds(inputs: dict[str, tuple], width: int, height: int) -> tuple[str, dict[str, np.ndarray]]:
    """Name of the picture input, and what else a network wants to know: the size its boxes shall be scaled to."""
    picture = next(name for name, shape in inputs.items() if len(shape) == 4)
    others = [name for name in inputs if name != picture]
    unknown = [name for name in others if name != "orig_target_sizes"]
    if unknown:
        raise ModelError(
            f"The network has the inputs {', '.join(unknown)} besides the picture; they are not known here."
        )
    return picture, {name: np.array([[width, height]], np.int64) for name in others}
