"""What was found, laid beside the truth, to play: an MCAP for Foxglove and RViz, and an annotated video."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from tqdm import tqdm

from uav_perception.evaluation.action_tracks import FRAME
from uav_perception.evaluation.actions import UNKNOWN
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.record import FlightRecord, ImageRecord
from uav_perception.evaluation.recordings import Recording
from uav_perception.evaluation.settings import Settings
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.files import replacing, write_json
from uav_perception.frames.bags import BAG_VERSION
from uav_perception.frames.compressed import encode_jpeg
from uav_perception.frames.convert import COMPRESSED_IMAGE
from uav_perception.frames.errors import FrameError
from uav_perception.frames.typestore import typestore
from uav_perception.frames.video import VideoWriter
from uav_perception.inference.detections import Detections
from uav_perception.inference.draw import draw_detections, draw_panel

ANNOTATED = "/evaluation/annotated/compressed"
DETECTIONS = "/evaluation/detections"
ACTIONS = "/evaluation/actions"
TRUE_DETECTIONS = "/evaluation/truth/detections"
TRUE_ACTIONS = "/evaluation/truth/actions"
_DETECTION_ARRAY = "uav_perception/msg/DetectionArray"
_ACTION_ARRAY = "uav_perception/msg/ActionArray"
_TYPES = {
    ANNOTATED: COMPRESSED_IMAGE,
    DETECTIONS: _DETECTION_ARRAY,
    ACTIONS: _ACTION_ARRAY,
    TRUE_DETECTIONS: _DETECTION_ARRAY,
    TRUE_ACTIONS: _ACTION_ARRAY,
}
_TRUTH_COLOR = (96, 220, 96)
_DEFAULT_FPS = 30.0


def write_playback(
    recording: Recording, record: FlightRecord, metrics: dict, settings: Settings, out: Path, bag: bool, video: bool
) -> list[Path]:
    """Read a recording again and write what was found over it.

    Args:
        recording: what was evaluated.
        record: what came out.
        metrics: content of ``metrics.json``, for class names and the operating score.
        settings: of the run.
        out: folder of the report.
        bag: write ``playback/<name>/`` (MCAP) and ``playback/foxglove_layout.json``.
        video: write ``playback/<name>.mp4``.

    Returns:
        What was written. Everything appears under its name only when it is complete.

    Raises:
        EvaluationError: it cannot be written.
        FrameError: the video cannot be written.
    """
    names = metrics["models"].get("detector", {}).get("class_names", [])
    actions = metrics["models"].get("action", {}).get("class_names", [])
    score = metrics.get("detection", {}).get("operating_score", 0.3)
    scene = _Scene(record, names, actions, score)
    folder = out / "playback"
    written: list[Path] = []
    try:
        with ExitStack() as stack:
            folder.mkdir(parents=True, exist_ok=True)
            bag_writer = video_writer = None
            if bag:
                write_json(folder / "foxglove_layout.json", foxglove_layout())
                bag_writer = stack.enter_context(_BagWriter(folder / record.name))
                written.append(folder / record.name)
            if video:
                temporary = stack.enter_context(replacing(folder / f"{record.name}.mp4"))
                video_writer = stack.enter_context(VideoWriter(temporary, _rate(record)))
                written.append(folder / f"{record.name}.mp4")
            images = _processed(recording, record, settings)
            for image, pixels in tqdm(
                images, f"{record.name}, drawing", len(record.images), unit="image", disable=None
            ):
                picture = scene.draw(image, pixels)
                if video_writer is not None:
                    video_writer.write(picture)
                if bag_writer is not None:
                    bag_writer.write(image, picture, scene)
    except OSError as error:
        raise EvaluationError(f"The playback in {folder} cannot be written: {error.strerror or error}.") from error
    return written


def _rate(record: FlightRecord) -> float:
    stamps = [image.stamp_ns for image in record.images]
    steps = np.diff(stamps)
    return float(1e9 / np.median(steps)) if len(steps) and np.median(steps) > 0 else _DEFAULT_FPS


def _processed(
    recording: Recording, record: FlightRecord, settings: Settings
) -> Iterator[tuple[ImageRecord, np.ndarray]]:
    wanted = {image.index: image for image in record.images}
    source, _ = recording.open(settings)
    for image in source.images():
        if image.index in wanted:
            try:
                yield wanted[image.index], image.decode().image
            except FrameError:
                continue  # counted as unreadable in the report


class _Scene:
    """Says for an image what to show."""

    def __init__(self, record: FlightRecord, names: Sequence[str], actions: Sequence[str], score: float) -> None:
        self.names, self.action_names, self.score = names, actions, score
        self.actions, self.actors = record.actions, record.actors
        # Ticks of each followed actor.
        self._ticks = {
            track: np.flatnonzero(self.actors.track_ids == track) for track in np.unique(self.actors.track_ids).tolist()
        }
        self.size = (0, 0)

    def found(self, image: ImageRecord) -> Detections:
        """Tracks where there are some, else the detections; above the operating score."""
        shown = image.detections if image.tracks is None else image.tracks
        return shown[shown.scores >= self.score]

    def recognised(self, image: ImageRecord) -> dict[int, tuple[str, float]]:
        """Label and score of the whole image (:data:`FRAME`) and of each actor, by the id it was followed with."""
        labels = {}
        if FRAME in self.actions:
            sequence = self.actions[FRAME]
            tick = int(np.searchsorted(sequence.times_ns, image.stamp_ns, side="right")) - 1
            if tick >= 0:
                label = int(sequence.labels[tick])
                labels[FRAME] = self._named(label, 0.0 if label == UNKNOWN else float(sequence.scores[tick, label]))
        actors = self.actors
        until = int(np.searchsorted(actors.times_ns, image.stamp_ns, side="right"))
        for track in self.found(image).track_ids.tolist():
            ticks = self._ticks.get(track)
            before = 0 if ticks is None else int(np.searchsorted(ticks, until))
            if before:
                tick = ticks[before - 1]
                labels[track] = self._named(int(actors.labels[tick]), float(actors.scores[tick]))
        return labels

    def _named(self, label: int, score: float) -> tuple[str, float]:
        return ("unknown", 0.0) if label == UNKNOWN else (self.action_names[label], score)

    def true_actions(self, stamp_ns: int) -> list[tuple[int, str]]:
        """What is really being done at a time: true track id (:data:`FRAME` for the whole image) and label."""
        return [
            (actor, self.action_names[s.class_id])
            for actor, sequence in self.actions.items()
            for s in sequence.truth
            if s.start_ns <= stamp_ns < s.end_ns
        ]

    def draw(self, image: ImageRecord, pixels: np.ndarray) -> np.ndarray:
        """The image with truth, detections and actions."""
        self.size = (pixels.shape[1], pixels.shape[0])
        picture = pixels.copy()
        if image.truth is not None:
            _draw_truth(picture, image.truth)
        recognised = self.recognised(image)
        actors = {track: label for track, (label, _) in recognised.items() if track != FRAME}
        picture = draw_detections(picture, self.found(image), self.names, actors)
        lines: list[str | tuple[str, float]] = [recognised[FRAME]] if FRAME in recognised else []
        true = [label for actor, label in self.true_actions(image.stamp_ns) if actor == FRAME]
        if true:
            lines.append(f"truth: {', '.join(true)}")
        return draw_panel(picture, lines)


def _draw_truth(picture: np.ndarray, truth: ImageTruth) -> None:
    """Corners only, so that a detection's box stays visible on top."""
    for box, ignored in zip(truth.boxes, truth.ignored, strict=True):
        x_min, y_min, x_max, y_max = np.rint(box).astype(int).tolist()
        arm = max(3, min(x_max - x_min, y_max - y_min) // 3)
        color = (200, 200, 200) if ignored else _TRUTH_COLOR
        for x, dx in ((x_min, arm), (x_max, -arm)):
            for y, dy in ((y_min, arm), (y_max, -arm)):
                cv2.line(picture, (x, y), (x + dx, y), color, 2)
                cv2.line(picture, (x, y), (x, y + dy), color, 2)


class _BagWriter:
    """An MCAP that takes its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._workshop = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._writer = Writer(self._workshop / path.name, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._store = typestore()

    def __enter__(self) -> _BagWriter:
        shutil.rmtree(self._workshop, ignore_errors=True)
        self._writer.open()
        self._topics = {
            topic: self._writer.add_connection(topic, kind, typestore=self._store) for topic, kind in _TYPES.items()
        }
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._writer.close()
            if kind is None:
                shutil.rmtree(self._path, ignore_errors=True)
                os.replace(self._workshop / self._path.name, self._path)
        finally:  # closing writes, and fails too where the disk is full
            shutil.rmtree(self._workshop, ignore_errors=True)

    def write(self, image: ImageRecord, picture: np.ndarray, scene: _Scene) -> None:
        """Everything about one image, stamped as the image."""
        types, stamp = self._store.types, image.stamp_ns
        time = types["builtin_interfaces/msg/Time"](sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)
        header = types["std_msgs/msg/Header"](stamp=time, frame_id="camera_optical_frame")
        jpeg = np.frombuffer(encode_jpeg(picture), np.uint8)
        self._send(ANNOTATED, stamp, types[COMPRESSED_IMAGE](header=header, format="jpeg", data=jpeg))
        self._send(DETECTIONS, stamp, self._detections(header, scene, scene.found(image)))
        if image.truth is not None:
            t = image.truth[~image.truth.ignored]
            rows = Detections(t.boxes, np.ones(len(t)), t.class_ids, t.track_ids)
            self._send(TRUE_DETECTIONS, stamp, self._detections(header, scene, rows))
        recognised = scene.recognised(image)
        if recognised:
            rows = [(track, label, score) for track, (label, score) in recognised.items()]
            self._send(ACTIONS, stamp, self._actions(header, time, rows))
        if any(sequence.truth for sequence in scene.actions.values()):
            true = [(actor, label, 1.0) for actor, label in scene.true_actions(stamp)]
            self._send(TRUE_ACTIONS, stamp, self._actions(header, time, true))

    def _send(self, topic: str, stamp_ns: int, message: object) -> None:
        self._writer.write(self._topics[topic], stamp_ns, self._store.serialize_cdr(message, _TYPES[topic]))

    def _detections(self, header: object, scene: _Scene, rows: Detections) -> object:
        kind = self._store.types["uav_perception/msg/Detection"]
        detections = [
            kind(
                class_id=int(c),
                class_name=scene.names[c],
                score=float(s),
                x_min=float(b[0]),
                y_min=float(b[1]),
                x_max=float(b[2]),
                y_max=float(b[3]),
                track_id=int(t),
                velocity_x=float(v[0]),
                velocity_y=float(v[1]),
            )
            for b, s, c, t, v in zip(
                rows.boxes, rows.scores, rows.class_ids, rows.track_ids, rows.velocities, strict=True
            )
        ]
        return self._store.types[_DETECTION_ARRAY](
            header=header, image_width=scene.size[0], image_height=scene.size[1], model="", detections=detections
        )

    def _actions(self, header: object, time: object, rows: Sequence[tuple[int, str, float]]) -> object:
        label = self._store.types["uav_perception/msg/ActionLabel"]
        actions = [
            label(
                scope=label.SCOPE_FRAME if track == FRAME else label.SCOPE_TRACK,
                track_id=track,
                label=name,
                score=score,
                scores=[],
                window_start=time,
                window_end=time,
                segments=0,
            )
            for track, name, score in rows
        ]
        return self._store.types[_ACTION_ARRAY](header=header, model="", actions=actions)


def foxglove_layout() -> dict[str, object]:
    """A Foxglove layout: the annotated image large, action scores and detections beside it."""
    return {
        "configById": {
            "Image!evaluation": {
                "imageMode": {"imageTopic": ANNOTATED},
                "topics": {},
                "foxglovePanelTitle": "Detections over truth",
            },
            "Plot!actions": {
                "paths": [
                    {"value": f"{ACTIONS}.actions[:].score", "enabled": True, "timestampMethod": "headerStamp"},
                ],
                "minYValue": 0,
                "maxYValue": 1,
                "showLegend": True,
                "foxglovePanelTitle": "Score of the action",
            },
            "RawMessages!actions": {"topicPath": ACTIONS, "foxglovePanelTitle": "Recognised action"},
            "RawMessages!truth": {"topicPath": TRUE_DETECTIONS, "foxglovePanelTitle": "Truth"},
        },
        "globalVariables": {},
        "userNodes": {},
        "layout": {
            "direction": "row",
            "first": "Image!evaluation",
            "second": {
                "direction": "column",
                "first": "Plot!actions",
                "second": {"direction": "row", "first": "RawMessages!actions", "second": "RawMessages!truth"},
            },
            "splitPercentage": 66,
        },
    }
