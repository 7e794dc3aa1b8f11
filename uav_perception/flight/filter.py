"""A target's place out of many views of it.

The errors of one view are of two kinds. Those of pixels change from image to image and average out. Those of attitude,
position, height and time stay for seconds: a filter that took them for fresh at every image would soon be sure of a
wrong place. So they are part of the state: eight of them for each target, which decay with a correlation time
(first-order Gauss-Markov) and which views from other sides can tell apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from uav_perception.flight.errors import FlightError
from uav_perception.flight.geolocation import Place

_COMMON = 8
_SIZE = 4 + _COMMON
_GATE = 18.4  # 99.99 % of a chi-square with two degrees of freedom


@dataclass(frozen=True)
class FilterOptions:
    """How views are joined.

    Attributes:
        acceleration: change of a target's speed within one second [m/s].
        speed: of a target that was seen once, per axis [m/s].
        correlation_s: how long errors of attitude, position, height and time stay [s].
        max_gap_s: a target that was not placed for longer starts anew [s].
        max_outliers: so many views in a row that cannot be the target make it start anew.
    """

    acceleration: float = 1.0
    speed: float = 3.0
    correlation_s: float = 10.0
    max_gap_s: float = 3.0
    max_outliers: int = 5

    def __post_init__(self) -> None:
        for name in ("acceleration", "speed", "correlation_s", "max_gap_s"):
            value = getattr(self, name)
            if not 0.0 < value < float("inf"):
                raise FlightError(f"Expected filter option `{name}` to be positive, but got {value}.")
        if self.max_outliers < 1:
            raise FlightError(f"Expected `max_outliers` of 1 or more, but got {self.max_outliers}.")


@dataclass(frozen=True)
class TargetEstimate:
    """What is known of a target.

    Attributes:
        position: east, north, up in the map [m], shape (3,).
        covariance: of the position, shape (3, 3) [m^2].
        velocity: east, north, up [m/s], shape (3,); zero until the target was placed twice.
        views: in how many images it was placed.
    """

    position: np.ndarray
    covariance: np.ndarray
    velocity: np.ndarray
    views: int


@dataclass
class _Target:
    mean: np.ndarray
    covariance: np.ndarray
    stamp_ns: int
    up: float
    up_variance: float
    views: int = 1
    outliers: int = 0

    def estimate(self) -> TargetEstimate:
        covariance = np.zeros((3, 3))
        covariance[:2, :2] = self.covariance[:2, :2]
        covariance[2, 2] = self.up_variance
        velocity = np.append(self.mean[2:4], 0.0) if self.views > 1 else np.zeros(3)
        return TargetEstimate(np.append(self.mean[:2], self.up), covariance, velocity, self.views)


class TargetFilter:
    """Filters the places of tracked detections, a state for each track.

    Attributes:
        restarts: how often a target started anew, by reason: ``gap``, ``outliers``, ``time_jump``, ``epoch``.
        outliers: how many views were left out.
    """

    def __init__(self, options: FilterOptions = FilterOptions()) -> None:
        self.options = options
        self.restarts: Counter[str] = Counter()
        self.outliers = 0
        self._targets: dict[int, _Target] = {}
        self._stamp_ns: int | None = None
        self._epoch = 0

    def reset(self) -> None:
        """Forget all targets."""
        self._targets.clear()
        self._stamp_ns = None

    def update(self, places: Mapping[int, Place], stamp_ns: int, epoch: int = 0) -> dict[int, TargetEstimate]:
        """Take the places of one image.

        Args:
            places: by track id.
            stamp_ns: of the image [ns].
            epoch: of the vehicle's state; another one means another map frame.

        Returns:
            The estimate of every target in ``places``.
        """
        self._check_continuity(stamp_ns, epoch)
        for track_id in [t for t, target in self._targets.items() if self._too_old(target, stamp_ns)]:
            del self._targets[track_id]
            self.restarts["gap"] += 1
        for track_id, place in places.items():
            target = self._targets.get(track_id)
            if target is None:
                self._targets[track_id] = self._started(place, stamp_ns)
            else:
                self._advance(target, place, stamp_ns)
                if not self._learn(target, place) and target.outliers >= self.options.max_outliers:
                    self.restarts["outliers"] += 1
                    self._targets[track_id] = self._started(place, stamp_ns)
        return {track_id: self._targets[track_id].estimate() for track_id in places}

    def _check_continuity(self, stamp_ns: int, epoch: int) -> None:
        jumped = self._stamp_ns is not None and stamp_ns < self._stamp_ns
        if self._targets and (jumped or epoch != self._epoch):
            self.restarts["time_jump" if jumped else "epoch"] += len(self._targets)
            self._targets.clear()
        self._stamp_ns, self._epoch = stamp_ns, epoch

    def _too_old(self, target: _Target, stamp_ns: int) -> bool:
        return stamp_ns - target.stamp_ns > self.options.max_gap_s * 1e9

    def _started(self, place: Place, stamp_ns: int) -> _Target:
        """The first view: place and common errors are correlated from the start."""
        slope = place.jacobian[:2]
        covariance = np.zeros((_SIZE, _SIZE))
        covariance[:2, :2] = place.covariance[:2, :2]
        covariance[2:4, 2:4] = np.eye(2) * self.options.speed**2
        covariance[4:, 4:] = place.common
        covariance[:2, 4:] = -slope @ place.common
        covariance[4:, :2] = covariance[:2, 4:].T
        mean = np.append(place.position[:2], np.zeros(2 + _COMMON))
        return _Target(mean, covariance, stamp_ns, float(place.position[2]), float(place.covariance[2, 2]))

    def _advance(self, target: _Target, place: Place, stamp_ns: int) -> None:
        """To the stamp of the next view: constant velocity, common errors that fade and are renewed."""
        seconds = (stamp_ns - target.stamp_ns) * 1e-9
        fade = np.exp(-seconds / self.options.correlation_s)
        step = np.eye(_SIZE)
        step[:2, 2:4] = seconds * np.eye(2)
        step[4:, 4:] *= fade
        added = np.zeros((_SIZE, _SIZE))
        strength = self.options.acceleration**2
        added[:2, :2] = np.eye(2) * strength * seconds**3 / 3
        added[:2, 2:4] = added[2:4, :2] = np.eye(2) * strength * seconds**2 / 2
        added[2:4, 2:4] = np.eye(2) * strength * seconds
        added[4:, 4:] = (1 - fade**2) * place.common
        target.mean = step @ target.mean
        target.covariance = step @ target.covariance @ step.T + added
        target.stamp_ns = stamp_ns

    def _learn(self, target: _Target, place: Place) -> bool:
        """Take a view; False when it cannot be the same target."""
        see = np.zeros((2, _SIZE))
        see[:, :2] = np.eye(2)
        see[:, 4:] = place.jacobian[:2]
        innovation = place.position[:2] - see @ target.mean
        spread = see @ target.covariance @ see.T + place.noise[:2, :2]
        if innovation @ np.linalg.solve(spread, innovation) > _GATE:
            target.outliers += 1
            self.outliers += 1
            return False
        gain = np.linalg.solve(spread, see @ target.covariance).T
        target.mean = target.mean + gain @ innovation
        rest = np.eye(_SIZE) - gain @ see
        # Joseph's form stays symmetric and positive over many updates.
        target.covariance = rest @ target.covariance @ rest.T + gain @ place.noise[:2, :2] @ gain.T
        target.up, target.up_variance = float(place.position[2]), float(place.covariance[2, 2])
        target.views += 1
        target.outliers = 0
        return True
