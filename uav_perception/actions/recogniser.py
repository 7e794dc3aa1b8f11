"""Online action recognition: one backbone pass for a new image, the rest of the window from the cache."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uav_perception.actions.crops import square_crop
from uav_perception.actions.errors import ActionError
from uav_perception.actions.model import ActionModel, softmax
from uav_perception.actions.results import UNKNOWN_LABEL, ActionResult, ClassScore
from uav_perception.actions.ring import FeatureRing, Window
from uav_perception.actions.schedule import TrackSchedule
from uav_perception.actions.smoothing import UNKNOWN, LabelSmoother, SmoothingOptions
from uav_perception.actions.ticks import TickGrid
from uav_perception.inference.detections import Detections


@dataclass(frozen=True)
class RecogniserOptions:
    """How an action model is run on a stream.

    Attributes:
        tick_hz: backbone passes a second and scope; None takes the model's own.
        window_s: length of the window [s]; None takes the model's own.
        max_gap_s: longest time between two looks before the cache is dropped [s]; None takes one segment of the window,
            because a longer gap leaves a segment with no image of its own.
        top_k: how many classes `ActionResult.scores` lists.
        crop_scale: side of an actor's square crop over the longer side of its box.
        track_budget: most actors in one backbone pass.
        smoothing: see `SmoothingOptions`.
    """

    tick_hz: float | None = None
    window_s: float | None = None
    max_gap_s: float | None = None
    top_k: int = 5
    crop_scale: float = 1.8
    track_budget: int = 8
    smoothing: SmoothingOptions = field(default_factory=SmoothingOptions)

    def __post_init__(self) -> None:
        for name in ("tick_hz", "window_s", "max_gap_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise ActionError(f"Expected `{name}` to be positive, or None for the model's own, but got {value}.")
        if not 1.0 <= self.crop_scale <= 4.0:
            raise ActionError(f"Expected `crop_scale` between 1 and 4, but got {self.crop_scale}.")
        for name in ("top_k", "track_budget"):
            if getattr(self, name) < 1:
                raise ActionError(f"Expected `{name}` to be 1 or more, but got {getattr(self, name)}.")


class _Scope:
    """Cache and label of the whole image or of one actor."""

    def __init__(self, capacity: int, max_gap_ns: int, smoothing: SmoothingOptions) -> None:
        self.ring = FeatureRing(capacity, max_gap_ns)
        self.smoother = LabelSmoother(smoothing)

    def push(self, stamp_ns: int, feature: np.ndarray) -> str | None:
        reason = self.ring.push(stamp_ns, feature)
        if reason:
            self.smoother.reset()
        return reason


class Recogniser:
    """Names what is being done, in the whole image (`update`) and by every tracked actor (`update_tracks`).

    Both may be used at once; each keeps its own state. Not thread-safe: one worker calls it.

    Args:
        model: path of an action model, or an `ActionModel` that is loaded already.
        backend: inference engine, used when ``model`` is a path; see `make_backend`.
        options: rates, budget and smoothing.

    Attributes:
        model: the `ActionModel`.
        drops: how often state was dropped, by ``"<scope>_<reason>"`` with the reasons ``time_jump``, ``gap``, ``lost``
            and ``released`` (the place went to another actor). For diagnostics.

    Raises:
        ActionError: an option contradicts the model.
        ModelError: the file is missing, broken or no action model.
    """

    def __init__(
        self,
        model: str | Path | ActionModel,
        backend: str = "onnxruntime",
        options: RecogniserOptions = RecogniserOptions(),
    ) -> None:
        self.model = model if isinstance(model, ActionModel) else ActionModel(model, backend)
        self.options = options
        self.tick_hz = options.tick_hz or self.model.tick_hz
        window_s = options.window_s or self.model.window_s
        if window_s * self.tick_hz < self.model.segments:
            raise ActionError(
                f"A window of {window_s} s at {self.tick_hz} Hz never holds the {self.model.segments} images that the "
                f"model needs. Raise `tick_hz` to {self.model.segments / window_s:.3g} Hz or more, or lengthen "
                "`window_s`."
            )
        max_gap_s = options.max_gap_s or max(window_s / self.model.segments, 1.5 / self.tick_hz)
        if max_gap_s < 1.0 / self.tick_hz:
            raise ActionError(
                f"`max_gap_s` of {max_gap_s} s is shorter than the {1.0 / self.tick_hz:.3g} s between two ticks at "
                f"{self.tick_hz} Hz, so every entry would be dropped. Raise it or `tick_hz`."
            )
        self._window_ns = round(window_s * 1e9)
        self._max_gap_ns = round(max_gap_s * 1e9)
        self._capacity = math.ceil(window_s * self.tick_hz) + 1
        self.drops: Counter[str] = Counter()
        self._frame = self._new_scope()
        self._frame_ticks = TickGrid(self.tick_hz)
        self._tracks_ticks = TickGrid(self.tick_hz)
        self._forget_tracks()

    @property
    def tracks_waiting(self) -> int:
        """Actors in sight that the budget has no place for."""
        return self._schedule.waiting

    def reset(self) -> None:
        """Forget every scope, for example when the node is deactivated."""
        self._frame = self._new_scope()
        self._frame_ticks.restart()
        self._tracks_ticks.restart()
        self._forget_tracks()

    def update(self, image: np.ndarray, stamp_ns: int) -> ActionResult | None:
        """Take an image for the whole-frame scope. At most one backbone pass.

        Args:
            image: uint8, shape (H, W, 3), BGR.
            stamp_ns: when it was taken [ns].

        Returns:
            None when no tick falls on this image: the last label is not repeated under a stamp it was not judged for.
        """
        if not self._frame_ticks.due(stamp_ns):
            return None
        feature = self.model.features(self.model.preprocess_frames([image]))[0]
        return self._judge([(-1, self._frame, feature)], stamp_ns)[0]

    def update_tracks(self, image: np.ndarray, stamp_ns: int, detections: Detections) -> list[ActionResult]:
        """Take an image with its tracked actors. At most one batched backbone pass over ``track_budget`` crops.

        Args:
            image: uint8, shape (H, W, 3), BGR.
            stamp_ns: when it was taken [ns].
            detections: the actors in this image, already filtered to the classes that act; rows with track id -1 are
                left out.

        Returns:
            A result for every actor that was looked at in this image, by track id. Empty when no tick falls on it.
        """
        if self._tracks_seen_ns is not None and stamp_ns < self._tracks_seen_ns:
            self.drops["track_time_jump"] += len(self._tracks)
            self._forget_tracks()
        self._tracks_seen_ns = stamp_ns
        self._drop_lost(stamp_ns)
        if not self._tracks_ticks.due(stamp_ns):
            return []
        crops = {}
        for track_id, box in zip(detections.track_ids.tolist(), detections.boxes, strict=True):
            crop = square_crop(image, box, self.options.crop_scale) if track_id >= 0 else None
            if crop is not None:
                crops[track_id] = crop
        chosen, released = self._schedule.choose(stamp_ns, crops)
        for track_id in released:
            self._drop(track_id, "released")
        if not chosen:
            return []
        features = self.model.features(self.model.preprocess_crops([crops[track_id] for track_id in chosen]))
        for track_id in chosen:
            if track_id not in self._tracks:
                self._tracks[track_id] = self._new_scope()
        looked = [(t, self._tracks[t], feature) for t, feature in zip(chosen, features, strict=True)]
        return sorted(self._judge(looked, stamp_ns), key=lambda result: result.track_id)

    def _judge(self, looked: list[tuple[int, _Scope, np.ndarray]], stamp_ns: int) -> list[ActionResult]:
        """Add the new features, run the transformer over all full windows at once, steady the labels."""
        windows: dict[int, Window] = {}
        for track_id, scope, feature in looked:
            reason = scope.push(stamp_ns, feature)
            if reason:
                self.drops[f"{_scope_name(track_id)}_{reason}"] += 1
            window = scope.ring.window(self._window_ns, self.model.segments)
            if window is not None:
                windows[track_id] = window
        probabilities: dict[int, np.ndarray] = {}
        if windows:
            logits = self.model.logits(np.stack([window.features for window in windows.values()]))
            probabilities = dict(zip(windows, softmax(logits), strict=True))
        results = []
        for track_id, scope, _ in looked:
            if track_id in windows:
                results.append(self._result(track_id, scope, stamp_ns, windows[track_id], probabilities[track_id]))
            else:
                oldest = scope.ring.oldest_ns
                results.append(
                    ActionResult(
                        _scope_name(track_id), track_id, UNKNOWN_LABEL, 0.0, (), oldest, stamp_ns, self.model.segments
                    )
                )
        return results

    def _result(
        self, track_id: int, scope: _Scope, stamp_ns: int, window: Window, probabilities: np.ndarray
    ) -> ActionResult:
        label, score = scope.smoother.update(stamp_ns, probabilities)
        names = self.model.class_names
        best = np.argsort(-probabilities, kind="stable")[: self.options.top_k]
        return ActionResult(
            scope=_scope_name(track_id),
            track_id=track_id,
            label=UNKNOWN_LABEL if label == UNKNOWN else names[label],
            score=score,
            scores=tuple(ClassScore(int(i), names[i], float(probabilities[i])) for i in best),
            window_start_ns=window.start_ns,
            window_end_ns=window.end_ns,
            segments=self.model.segments,
        )

    def _new_scope(self) -> _Scope:
        return _Scope(self._capacity, self._max_gap_ns, self.options.smoothing)

    def _drop_lost(self, stamp_ns: int) -> None:
        for track_id, scope in list(self._tracks.items()):
            if scope.ring.break_at(stamp_ns):
                self._drop(track_id, "lost")

    def _drop(self, track_id: int, reason: str) -> None:
        self._schedule.forget(track_id)
        if self._tracks.pop(track_id, None) is not None:
            self.drops[f"track_{reason}"] += 1

    def _forget_tracks(self) -> None:
        self._tracks: dict[int, _Scope] = {}
        self._tracks_seen_ns: int | None = None
        self._schedule = TrackSchedule(
            self.options.track_budget, 1e9 / self.tick_hz, self._max_gap_ns, tenure_ns=2 * self._window_ns
        )


def _scope_name(track_id: int) -> str:
    return "frame" if track_id < 0 else "track"
