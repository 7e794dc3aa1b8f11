"""The vehicle's state at the stamp of an image, out of messages that come at other times."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.geodesy import Origin, to_map
from uav_perception.flight.rotations import (
    from_rotation_vector,
    inverse,
    matrix,
    multiply,
    rotation_vector,
    slerp,
    yaw_of,
)
from uav_perception.flight.state import GimbalSample, HeightSample, PoseSample, VehicleState

Sample = TypeVar("Sample", PoseSample, HeightSample, GimbalSample)


@dataclass(frozen=True)
class BufferOptions:
    """When a state is too old to be used.

    Attributes:
        keep_s: how much of the past is kept [s]; longer than the slowest inference.
        max_gap_s: longest time between two samples that are interpolated [s].
        max_extrapolation_s: how far an image may be newer than the newest sample [s].
        max_height_age_s: the same for the height above ground, which is held, not extrapolated [s].
        max_speed: fastest believable motion [m/s]; a position that moves faster has jumped.
        jump_margin_m: added to what ``max_speed`` allows [m].
        origin_tolerance_m: largest change of the origin that is noise and no reset [m].
        time_margin_s: how far a sample may be older than the newest one without being a clock jump [s].
    """

    keep_s: float = 5.0
    max_gap_s: float = 0.5
    max_extrapolation_s: float = 0.1
    max_height_age_s: float = 0.5
    max_speed: float = 60.0
    jump_margin_m: float = 3.0
    origin_tolerance_m: float = 3.0
    time_margin_s: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 < value < float("inf"):
                raise FlightError(f"Expected buffer option `{name}` to be positive, but got {value}.")


class History(Generic[Sample]):
    """Samples of one kind, by rising stamps."""

    def __init__(self, keep_s: float, time_margin_s: float) -> None:
        self._keep_ns = round(keep_s * 1e9)
        self._margin_ns = round(time_margin_s * 1e9)
        self._samples: list[Sample] = []

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def newest(self) -> Sample | None:
        """The sample with the latest stamp."""
        return self._samples[-1] if self._samples else None

    def clear(self) -> None:
        """Forget all."""
        self._samples.clear()

    def add(self, sample: Sample) -> str | None:
        """Keep a sample.

        Returns:
            None; ``"out_of_order"`` for one that came a little late and was left out; ``"clock_jump"`` when the clock
            was set back, and everything older than this sample was forgotten.
        """
        reason = None
        if self._samples and sample.stamp_ns <= self._samples[-1].stamp_ns:
            if self._samples[-1].stamp_ns - sample.stamp_ns <= self._margin_ns:
                return None if sample.stamp_ns == self._samples[-1].stamp_ns else "out_of_order"
            self.clear()
            reason = "clock_jump"
        self._samples.append(sample)
        while self._samples[0].stamp_ns < sample.stamp_ns - self._keep_ns:
            del self._samples[0]
        return reason

    def around(self, stamp_ns: int, max_gap_s: float, max_extrapolation_s: float, what: str) -> tuple[Sample, Sample]:
        """The two samples to interpolate between; the last two when the stamp is a little newer than all.

        Raises:
            StateError: ``missing``, ``too_old`` (older than what is kept), ``stale`` or ``gap``.
        """
        if not self._samples:
            raise StateError("missing", f"No {what} has been received.")
        index = bisect_left(self._samples, stamp_ns, key=lambda sample: sample.stamp_ns)
        if index < len(self._samples) and self._samples[index].stamp_ns == stamp_ns:
            # The one before tells the rates.
            before, exact = self._samples[max(index - 1, 0)], self._samples[index]
            return (before if (stamp_ns - before.stamp_ns) * 1e-9 <= max_gap_s else exact), exact
        if index == 0:
            early = (self._samples[0].stamp_ns - stamp_ns) * 1e-9
            raise StateError("too_old", f"The image is {early:.3f} s older than the oldest {what} that is kept.")
        if index == len(self._samples):
            age = (stamp_ns - self._samples[-1].stamp_ns) * 1e-9
            if age > max_extrapolation_s:
                raise StateError("stale", f"The newest {what} is {age:.3f} s older than the image.")
            index = max(index - 1, 1)
            if len(self._samples) == 1:
                return self._samples[0], self._samples[0]
        before, after = self._samples[index - 1], self._samples[index]
        gap = (after.stamp_ns - before.stamp_ns) * 1e-9
        if gap > max_gap_s:
            raise StateError("gap", f"The {what} has a gap of {gap:.3f} s around the image.")
        return before, after


class StateBuffer:
    """Takes samples as they come and gives the state at a stamp. Not thread-safe: the caller holds a lock.

    Args:
        options: see `BufferOptions`.

    Attributes:
        events: how often something was left out or jumped, by reason: ``out_of_order``, ``clock_jump``,
            ``position_jump`` (faster than ``max_speed``), ``estimator_reset`` (the autopilot says so),
            ``origin_reset``.
        epoch: counts jumps of the map frame.
    """

    def __init__(self, options: BufferOptions = BufferOptions()) -> None:
        self.options = options
        self.events: Counter[str] = Counter()
        self.epoch = 0
        self._poses: History[PoseSample] = History(options.keep_s, options.time_margin_s)
        self._heights: History[HeightSample] = History(options.keep_s, options.time_margin_s)
        self._gimbals: History[GimbalSample] = History(options.keep_s, options.time_margin_s)
        self._origin: Origin | None = None

    def add_pose(self, sample: PoseSample) -> None:
        """Take a pose. After a jump nothing is interpolated across it."""
        jump = self._jump(self._poses.newest, sample)
        if jump:
            self._poses.clear()
            self._new_epoch(jump)
        reason = self._poses.add(sample)
        if reason == "clock_jump":
            self._heights.clear()
            self._gimbals.clear()
            self._new_epoch(reason)
        elif reason:
            self.events[reason] += 1

    def add_height(self, sample: HeightSample) -> None:
        """Take a height above ground."""
        self._count(self._heights.add(sample))

    def add_gimbal(self, sample: GimbalSample) -> None:
        """Take an attitude of the camera."""
        self._count(self._gimbals.add(sample))

    def set_origin(self, origin: Origin) -> None:
        """Take the map's origin. One that moved by more than noise is a reset of the map."""
        if self._origin is not None:
            moved = np.linalg.norm(to_map(self._origin, origin.latitude, origin.longitude, origin.altitude))
            if moved <= self.options.origin_tolerance_m:
                return
            self._poses.clear()
            self._new_epoch("origin_reset")
        self._origin = origin

    def position_at(self, stamp_ns: int) -> np.ndarray:
        """The position alone, east, north, up [m], whatever is known of height and gimbal.

        Raises:
            StateError: as `at`.
        """
        before, after = self._poses_around(stamp_ns)
        return _position(before, after, *_fraction(before.stamp_ns, after.stamp_ns, stamp_ns))

    def at(self, stamp_ns: int, height_matters: bool = True) -> VehicleState:
        """The state at a stamp.

        Args:
            stamp_ns: when [ns].
            height_matters: refuse a stamp at which a height above ground that was known is not known any more; else
                that is left out of the state.

        Raises:
            StateError: with the reason ``missing``, ``too_old``, ``stale`` or ``gap``.
        """
        before, after = self._poses_around(stamp_ns)
        seconds, fraction = _fraction(before.stamp_ns, after.stamp_ns, stamp_ns)
        orientation = slerp(before.orientation, after.orientation, fraction)
        height, variance = self._height(stamp_ns, height_matters)
        rate = _rate(before.orientation, after.orientation, seconds)
        camera, camera_rate, camera_covariance = self._camera(stamp_ns, orientation, rate)
        return VehicleState(
            stamp_ns=stamp_ns,
            position=_position(before, after, seconds, fraction),
            orientation=orientation,
            velocity=_velocity(before, after, seconds, fraction),
            angular_velocity=rate,
            position_covariance=_nearer(before.position_covariance, after.position_covariance, fraction),
            attitude_covariance=_nearer(before.attitude_covariance, after.attitude_covariance, fraction),
            height_above_ground=height,
            height_variance=variance,
            camera_orientation=camera,
            camera_angular_velocity=camera_rate,
            camera_attitude_covariance=camera_covariance,
            origin=self._origin,
            epoch=self.epoch,
        )

    def _poses_around(self, stamp_ns: int) -> tuple[PoseSample, PoseSample]:
        options = self.options
        return self._poses.around(stamp_ns, options.max_gap_s, options.max_extrapolation_s, "vehicle pose")

    def _jump(self, last: PoseSample | None, sample: PoseSample) -> str | None:
        if last is None:
            return None
        if sample.reset_counter != last.reset_counter:
            return "estimator_reset"
        seconds = abs(sample.stamp_ns - last.stamp_ns) * 1e-9
        far = np.linalg.norm(sample.position - last.position)
        return "position_jump" if far > self.options.max_speed * seconds + self.options.jump_margin_m else None

    def _new_epoch(self, reason: str) -> None:
        self.events[reason] += 1
        self.epoch += 1

    def _count(self, reason: str | None) -> None:
        if reason:
            self.events[reason] += 1

    def _height(self, stamp_ns: int, matters: bool) -> tuple[float | None, float | None]:
        """Height at a stamp, None without any. A stale one is never used, because the ground below may have changed."""
        if not len(self._heights):
            return None, None
        options = self.options
        try:
            before, after = self._heights.around(
                stamp_ns, 2 * options.max_height_age_s, options.max_height_age_s, "height above ground"
            )
        except StateError:
            if matters:
                raise
            return None, None
        _, fraction = _fraction(before.stamp_ns, after.stamp_ns, stamp_ns)
        fraction = min(fraction, 1.0)
        variance = max(before.variance, after.variance)
        height = before.height + fraction * (after.height - before.height)
        return height, variance if np.isfinite(variance) and variance > 0 else None

    def _camera(
        self, stamp_ns: int, body: np.ndarray, body_rate: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
        """Attitude of the camera in the map, its rate, its covariance."""
        if not len(self._gimbals):
            return None, np.zeros(3), None
        options = self.options
        before, after = self._gimbals.around(
            stamp_ns, options.max_gap_s, options.max_extrapolation_s, "gimbal attitude"
        )
        seconds, fraction = _fraction(before.stamp_ns, after.stamp_ns, stamp_ns)
        covariance = _nearer(before.attitude_covariance, after.attitude_covariance, fraction)
        orientation = slerp(before.orientation, after.orientation, fraction)
        rate = _rate(before.orientation, after.orientation, seconds)
        if after.reference == "heading":
            heading = from_rotation_vector(np.array([0.0, 0.0, yaw_of(body)]))
            turning = matrix(heading) @ rate + np.array([0.0, 0.0, body_rate[2]])
            return multiply(heading, orientation), turning, covariance
        return orientation, rate, covariance


def _fraction(before_ns: int, after_ns: int, stamp_ns: int) -> tuple[float, float]:
    """Seconds between two samples, and where between them a stamp lies (above 1 beyond the later one)."""
    if after_ns == before_ns:
        return 0.0, 0.0
    return (after_ns - before_ns) * 1e-9, (stamp_ns - before_ns) / (after_ns - before_ns)


def _position(before: PoseSample, after: PoseSample, seconds: float, fraction: float) -> np.ndarray:
    """Cubic Hermite between samples with velocities, else a straight line; straight on beyond the later one."""
    if before.velocity is None or after.velocity is None or seconds == 0.0:
        return before.position + fraction * (after.position - before.position)
    if fraction > 1.0:
        return after.position + (fraction - 1.0) * seconds * after.velocity
    t, t2, t3 = fraction, fraction**2, fraction**3
    return (
        (2 * t3 - 3 * t2 + 1) * before.position
        + (t3 - 2 * t2 + t) * seconds * before.velocity
        + (3 * t2 - 2 * t3) * after.position
        + (t3 - t2) * seconds * after.velocity
    )


def _velocity(before: PoseSample, after: PoseSample, seconds: float, fraction: float) -> np.ndarray:
    if before.velocity is not None and after.velocity is not None:
        return before.velocity + min(fraction, 1.0) * (after.velocity - before.velocity)
    return (after.position - before.position) / seconds if seconds else np.zeros(3)


def _rate(before: np.ndarray, after: np.ndarray, seconds: float) -> np.ndarray:
    """Angular velocity about the reference's axes [rad/s]."""
    return rotation_vector(multiply(after, inverse(before))) / seconds if seconds else np.zeros(3)


def _nearer(before: np.ndarray | None, after: np.ndarray | None, fraction: float) -> np.ndarray | None:
    return before if fraction < 0.5 else after
