"""The same core as the nodes', run on one image after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from uav_perception.actions.model import ActionModel
from uav_perception.actions.recogniser import Recogniser, RecogniserOptions
from uav_perception.actions.results import ActionResult
from uav_perception.evaluation.settings import Settings
from uav_perception.frames.frame import Frame
from uav_perception.inference.backends import BackendOptions
from uav_perception.inference.detections import Detections
from uav_perception.inference.detector import Detector, Work
from uav_perception.tracking.tracker import Tracker, TrackerOptions


@dataclass(frozen=True)
class Outcome:
    """What the models made of one image.

    Attributes:
        detections: all that was found.
        tracks: the followed ones, with ids; None where nothing is tracked.
        actions: judged at this image.
        timings_ms: duration of each step [ms].
    """

    detections: Detections
    tracks: Detections | None
    actions: tuple[ActionResult, ...]
    timings_ms: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """Detector, tracker and recogniser in a row; loads the models once.

    :meth:`prepare`, :meth:`infer` and :meth:`follow` take one image after the other, each on a thread of its own if
    the caller likes: the network is busy with one image while others are prepared and followed.

    Raises:
        ModelError: a model is missing, broken or of another task.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        options = BackendOptions(threads=settings.threads)
        self.detector: Detector | None = None
        self._tracker_options = TrackerOptions()
        self.recogniser: Recogniser | None = None
        if settings.model is not None:
            self.detector = Detector(settings.model, settings.backend, options=options)
            # Tracked as the node does, from the threshold that the model names; judged over all scores.
            self._tracker_options = TrackerOptions.for_threshold(self.detector.score_threshold)
            self.detector.score_threshold = settings.score_threshold
            self.detector.warm_up()
        if settings.action_model is not None:
            model = ActionModel(settings.action_model, settings.backend, options=options)
            every_score = RecogniserOptions(top_k=len(model.class_names))  # for the per-frame mAP
            self.recogniser = Recogniser(model, options=every_score)
        self._tracker: Tracker | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the detector; empty without one."""
        return tuple(self.detector.contract.class_names) if self.detector else ()

    @property
    def action_names(self) -> tuple[str, ...]:
        """Of the action model; empty without one."""
        return tuple(self.recogniser.model.class_names) if self.recogniser else ()

    def start(self, in_time_order: bool) -> None:
        """Forget the recording before."""
        tracked = self.settings.track and in_time_order and self.detector is not None
        self._tracker = Tracker(self._tracker_options) if tracked else None
        if self.recogniser is not None:
            self.recogniser.reset()

    def prepare(self, frame: Frame) -> Work | None:
        """Make the detector's input; None without a detector."""
        return None if self.detector is None else self.detector.prepare(frame.image)

    def infer(self, work: Work | None) -> None:
        """Run the detector's network, which remembers nothing."""
        if work is not None:
            self.detector.infer(work)

    def follow(self, frame: Frame, work: Work | None) -> Outcome:
        """Name the objects, and run what remembers earlier images: the tracker and the recogniser.

        Args:
            frame: the next image in order.
            work: what :meth:`infer` made of it.
        """
        detections = Detections.empty() if work is None else self.detector.finish(work)
        timings = {} if work is None else dict(work.spent)
        tracks = None
        if self._tracker is not None:
            began = time.perf_counter()
            tracks = self._tracker.update(detections, frame.stamp_ns, frame.image)
            timings["tracking"] = 1000 * (time.perf_counter() - began)
        actions: list[ActionResult] = []
        if self.recogniser is not None:
            began = time.perf_counter()
            if self.settings.action_scope in ("frame", "both"):
                result = self.recogniser.update(frame.image, frame.stamp_ns)
                actions += [result] if result is not None else []
            if self.settings.action_scope in ("track", "both") and tracks is not None:
                actions += self.recogniser.update_tracks(frame.image, frame.stamp_ns, tracks[self._acts(tracks)])
            timings["actions"] = 1000 * (time.perf_counter() - began)
        return Outcome(detections, tracks, tuple(actions), timings)

    def _acts(self, tracks: Detections) -> np.ndarray:
        """bool, shape (N,): of a class that acts, as the action node's parameter ``actor_classes`` has it."""
        names = {name.lower() for name in self.settings.actor_classes}
        actors = [i for i, name in enumerate(self.class_names) if not names or name.lower() in names]
        return np.isin(tracks.class_ids, actors)

    def score_row(self, result: ActionResult) -> np.ndarray:
        """Probabilities by class id; zeros while unknown."""
        row = np.zeros(len(self.action_names))
        for score in result.scores:
            row[score.class_id] = score.score
        return row
