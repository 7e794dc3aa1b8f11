"""Tracks small objects seen from a moving camera.

The way of one image: carry the states through the camera's motion, predict, pair confident detections with all tracks,
pair weak detections with the tracks that are left (ByteTrack's idea: a weak detection where a track is expected is the
object, half hidden, and elsewhere is noise), then start new tracks from confident detections that found none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from uav_perception.inference.detections import Detections
from uav_perception.tracking import kalman
from uav_perception.tracking.association import associate
from uav_perception.tracking.camera_motion import ImageMotion, MotionOptions
from uav_perception.tracking.errors import TrackingError
from uav_perception.tracking.similarity import SIMILARITIES

_NEW_TRACK_MARGIN = 0.05  # a new track needs this much more score than an old one keeps
_GATE = 18.4  # 99.99 % of a chi-square with two degrees of freedom


@dataclass(frozen=True)
class TrackerOptions:
    """How objects are tracked.

    Attributes:
        similarity: measure of likeness, one of `SIMILARITIES`.
        high_score: detections from here are confident; they may start tracks.
        low_score: detections below are ignored.
        new_score: score from which a detection that found no track starts one.
        least_similarity: of a pair with a confident detection.
        least_similarity_low: of a pair with a weak detection.
        other_class: factor on the similarity of a pair whose classes differ; 0 forbids it.
        confirm_hits: images in which an object must be seen before it gets its id.
        max_lost_s: time after which a track that is not seen ends [s].
        camera_motion: find the camera's motion in the images, when they are given.
        noise: of detections and motion.
        motion: how camera motion is found.
    """

    similarity: str = "buffered_iou"
    high_score: float = 0.4
    low_score: float = 0.1
    new_score: float = 0.45
    least_similarity: float = 0.2
    least_similarity_low: float = 0.3
    other_class: float = 0.6
    confirm_hits: int = 2
    max_lost_s: float = 2.0
    camera_motion: bool = True
    noise: kalman.NoiseOptions = field(default_factory=kalman.NoiseOptions)
    motion: MotionOptions = field(default_factory=MotionOptions)

    @classmethod
    def for_threshold(cls, score: float, low_score: float = 0.1, **more: object) -> TrackerOptions:
        """The options that go with a detector's usual score threshold.

        Args:
            score: from which the detector's objects are believed.
            low_score: down to which a tracked object stays so.
            more: other options.
        """
        new_score = min(1.0, score + _NEW_TRACK_MARGIN)
        return cls(high_score=score, low_score=min(low_score, score), new_score=new_score, **more)

    def __post_init__(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise TrackingError(f"Unknown `similarity` {self.similarity!r}. Known are: {', '.join(SIMILARITIES)}.")
        if not 0.0 <= self.low_score <= self.high_score <= self.new_score <= 1.0:
            raise TrackingError(
                "Expected 0 <= low_score <= high_score <= new_score <= 1, but got "
                f"{self.low_score}, {self.high_score}, {self.new_score}."
            )
        for name in ("least_similarity", "least_similarity_low"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise TrackingError(f"Expected `{name}` between 0 and 1, but got {getattr(self, name)}.")
        if not 0.0 <= self.other_class <= 1.0:
            raise TrackingError(f"Expected `other_class` between 0 and 1, but got {self.other_class}.")
        if self.confirm_hits < 1 or not 0.0 < self.max_lost_s < float("inf"):
            raise TrackingError(
                f"Expected `confirm_hits` of 1 or more and a positive `max_lost_s`, but got {self.confirm_hits} and "
                f"{self.max_lost_s}."
            )


@dataclass
class _Track:
    mean: np.ndarray
    covariance: np.ndarray
    seen_ns: int
    votes: Counter[int] = field(default_factory=Counter)
    hits: int = 1
    track_id: int = -1

    @property
    def class_id(self) -> int:
        """The class with the largest sum of scores; the smaller id when two are equal."""
        return min(self.votes, key=lambda class_id: (-self.votes[class_id], class_id))


class Tracker:
    """Gives detections stable ids, voted classes and velocities. The same input gives the same ids.

    Ids count up from 1 and are never used again, not even after a reset. Not thread-safe: one worker calls it.

    Attributes:
        options: see `TrackerOptions`.
        resets: how often all tracks were dropped, by reason: ``time_jump`` (the stamp is before the last one) and
            ``gap`` (longer than ``max_lost_s``).
        motion: the camera's motion used last, shape (3, 3), None when it was not known.
    """

    def __init__(self, options: TrackerOptions = TrackerOptions()) -> None:
        self.options = options
        self.resets: Counter[str] = Counter()
        self._similarity = SIMILARITIES[options.similarity]
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """End all tracks."""
        self._tracks: list[_Track] = []
        self._stamp_ns: int | None = None
        self._image_motion = ImageMotion(self.options.motion)
        self.motion: np.ndarray | None = None

    def update(
        self,
        detections: Detections,
        stamp_ns: int,
        image: np.ndarray | None = None,
        camera_motion: np.ndarray | None = None,
    ) -> Detections:
        """Take the detections of the next image.

        Args:
            detections: down to ``low_score`` (a detector's usual threshold hides what the second stage lives on).
            stamp_ns: stamp of the image [ns].
            image: uint8, shape (H, W, 3), BGR; the camera's motion is found in it. Leave it out when the camera stands.
            camera_motion: shape (3, 3), pixels of the last image to pixels of this one, from the vehicle's pose
                (`ground_homography`, `rotation_homography`). Guides the search in the image and stands in where that
                fails.

        Returns:
            The detections that belong to a track, and the confident ones that do not yet (id -1), in the given order.
            Tracked ones carry id, voted class and velocity.

        Raises:
            TrackingError: ``camera_motion`` is no usable homography.
        """
        guess = _checked(camera_motion)
        seconds = self._elapsed(stamp_ns)
        if seconds is None:
            guess = None
        self._stamp_ns = stamp_ns
        self.motion = self._camera_motion(image, detections.boxes, guess)
        means, covariances = self._predicted(seconds or 0.0)
        pairs, new = self._pair(detections, means, covariances)
        self._learn(detections, pairs, means, covariances, stamp_ns)
        owner = {column: self._tracks[row] for row, column in pairs}
        self._drop_unseen(stamp_ns)
        for column, track in self._started(detections, new, stamp_ns):
            owner[column] = track
        return self._answer(detections, owner)

    def _elapsed(self, stamp_ns: int) -> float | None:
        """Seconds since the last image; None when there is none to build on."""
        if self._stamp_ns is None:
            return None
        seconds = (stamp_ns - self._stamp_ns) * 1e-9
        if 0.0 <= seconds <= self.options.max_lost_s:
            return seconds
        self.resets["gap" if seconds > 0.0 else "time_jump"] += 1
        self.reset()
        return None

    def _camera_motion(self, image: np.ndarray | None, objects: np.ndarray, guess: np.ndarray | None):
        found = None
        if image is not None and self.options.camera_motion:
            found = self._image_motion.update(image, objects, guess)
        return guess if found is None else found

    def _predicted(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        means = np.array([track.mean for track in self._tracks]).reshape(-1, 8)
        covariances = np.array([track.covariance for track in self._tracks]).reshape(-1, 8, 8)
        if self.motion is not None:
            means, covariances = kalman.move(means, covariances, self.motion, self.options.noise)
        return kalman.predict(means, covariances, seconds, self.options.noise)

    def _pair(
        self, detections: Detections, means: np.ndarray, covariances: np.ndarray
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """Three rounds: confident to confirmed, weak to confirmed, confident to those not confirmed yet.

        Returns:
            Pairs (track, detection), and the confident detections that are left.
        """
        options = self.options
        similarity = self._similarities(detections, means, covariances)
        high = np.flatnonzero(detections.scores >= options.high_score)
        low = np.flatnonzero((detections.scores >= options.low_score) & (detections.scores < options.high_score))
        confirmed = np.array([i for i, track in enumerate(self._tracks) if track.track_id >= 0], int)
        fresh = np.array([i for i, track in enumerate(self._tracks) if track.track_id < 0], int)
        pairs: list[tuple[int, int]] = []

        def match(rows: np.ndarray, columns: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
            chosen_rows, chosen_columns = associate(similarity[np.ix_(rows, columns)], least)
            pairs.extend(zip(rows[chosen_rows].tolist(), columns[chosen_columns].tolist(), strict=True))
            return np.delete(rows, chosen_rows), np.delete(columns, chosen_columns)

        confirmed, high = match(confirmed, high, options.least_similarity)
        match(confirmed, low, options.least_similarity_low)
        _, high = match(fresh, high, options.least_similarity)
        return pairs, high.tolist()

    def _similarities(self, detections: Detections, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        if not len(means) or not len(detections):
            return np.zeros((len(means), len(detections)))
        similarity = self._similarity(kalman.corners(means), detections.boxes)
        classes = np.array([track.class_id for track in self._tracks])
        similarity = similarity * np.where(
            classes[:, None] == detections.class_ids[None, :], 1.0, self.options.other_class
        )
        near = kalman.distance(means, covariances, detections.boxes, self.options.noise) <= _GATE
        return np.where(near, similarity, 0.0)

    def _learn(
        self,
        detections: Detections,
        pairs: list[tuple[int, int]],
        means: np.ndarray,
        covariances: np.ndarray,
        stamp_ns: int,
    ) -> None:
        rows = [row for row, _ in pairs]
        columns = [column for _, column in pairs]
        if pairs:
            means[rows], covariances[rows] = kalman.update(
                means[rows], covariances[rows], detections.boxes[columns], self.options.noise
            )
        for track, mean, covariance in zip(self._tracks, means, covariances, strict=True):
            track.mean, track.covariance = mean, covariance
        for row, column in pairs:
            track = self._tracks[row]
            track.seen_ns = stamp_ns
            track.hits += 1
            track.votes[int(detections.class_ids[column])] += float(detections.scores[column])
            self._confirm(track)

    def _confirm(self, track: _Track) -> None:
        if track.track_id < 0 and track.hits >= self.options.confirm_hits:
            track.track_id = self._next_id
            self._next_id += 1

    def _drop_unseen(self, stamp_ns: int) -> None:
        """End confirmed tracks after ``max_lost_s``, unconfirmed ones at once."""
        limit = self.options.max_lost_s * 1e9
        self._tracks = [
            track
            for track in self._tracks
            if track.seen_ns == stamp_ns or (track.track_id >= 0 and stamp_ns - track.seen_ns <= limit)
        ]

    def _started(self, detections: Detections, new: list[int], stamp_ns: int) -> list[tuple[int, _Track]]:
        columns = [column for column in new if detections.scores[column] >= self.options.new_score]
        means, covariances = kalman.start(detections.boxes[columns], self.options.noise)
        started = []
        for column, mean, covariance in zip(columns, means, covariances, strict=True):
            track = _Track(mean, covariance, stamp_ns)
            track.votes[int(detections.class_ids[column])] = float(detections.scores[column])
            self._confirm(track)
            self._tracks.append(track)
            started.append((column, track))
        return started

    def _answer(self, detections: Detections, owner: dict[int, _Track]) -> Detections:
        track_ids = np.full(len(detections), -1, np.int64)
        velocities = np.zeros((len(detections), 2), np.float32)
        class_ids = detections.class_ids.copy()
        for column, track in owner.items():
            if track.track_id >= 0:
                track_ids[column] = track.track_id
                velocities[column] = track.mean[4:6]
                class_ids[column] = track.class_id
        kept = (track_ids >= 0) | (detections.scores >= self.options.high_score)
        return Detections(detections.boxes, detections.scores, class_ids, track_ids, velocities)[kept]


def _checked(homography: np.ndarray | None) -> np.ndarray | None:
    if homography is None:
        return None
    homography = np.asarray(homography, np.float64)
    if homography.shape != (3, 3) or not np.isfinite(homography).all() or abs(np.linalg.det(homography)) < 1e-12:
        raise TrackingError(
            f"Expected `camera_motion` to be an invertible 3x3 homography, but got {homography.tolist()}."
        )
    return homography
