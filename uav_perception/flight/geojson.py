"""Targets as GeoJSON (RFC 7946), which ground stations and maps open."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class TargetRecord:
    """One target of one image, as a GeoTarget message has it.

    Attributes:
        stamp_ns: of the image [ns since 1970].
        track_id: -1 when not tracked.
        class_name: what it is.
        score: 0 to 1.
        action: what it does, empty when not known.
        latitude: WGS84 [deg]; NaN when the map's origin is not known.
        longitude: WGS84 [deg].
        altitude: above the ellipsoid [m].
        error_radius: holds the true place with 95 % probability [m].
        speed: over ground [m/s].
    """

    stamp_ns: int
    track_id: int
    class_name: str
    score: float
    action: str
    latitude: float
    longitude: float
    altitude: float
    error_radius: float
    speed: float

    @property
    def placed(self) -> bool:
        """Whether it has a place on Earth."""
        return all(math.isfinite(value) for value in (self.latitude, self.longitude, self.altitude))


def feature_collection(records: Iterable[TargetRecord], every: bool = False, lines: bool = False) -> dict:
    """Targets as a FeatureCollection.

    Args:
        records: in the order of their stamps. Those without a place on Earth are left out.
        every: a point for every record; else one a track, where it was seen last, and none for what is not tracked.
        lines: a line for every track that was placed twice or more.

    Returns:
        JSON-ready. Positions are longitude, latitude, altitude, as the RFC demands.
    """
    placed = [record for record in records if record.placed]
    tracks: dict[int, list[TargetRecord]] = {}
    for record in placed:
        if record.track_id >= 0:
            tracks.setdefault(record.track_id, []).append(record)
    points = placed if every else [track[-1] for track in tracks.values()]
    features = [_point(record) for record in points]
    if lines:
        features += [_line(track) for track in tracks.values() if len(track) > 1]
    return {"type": "FeatureCollection", "features": features}


def _position(record: TargetRecord) -> list[float]:
    """Degrees to a centimetre, metres to a millimetre."""
    return [round(record.longitude, 7), round(record.latitude, 7), round(record.altitude, 3)]


def _time(record: TargetRecord) -> str:
    return datetime.fromtimestamp(record.stamp_ns * 1e-9, timezone.utc).isoformat(timespec="milliseconds")


def _properties(record: TargetRecord) -> dict:
    return {
        "track_id": record.track_id,
        "class": record.class_name,
        "action": record.action,
        "score": round(record.score, 3),
        "error_radius_m": round(record.error_radius, 2) if math.isfinite(record.error_radius) else None,
        "speed_m_s": round(record.speed, 2) if math.isfinite(record.speed) else None,
        "time": _time(record),
    }


def _point(record: TargetRecord) -> dict:
    geometry = {"type": "Point", "coordinates": _position(record)}
    return {"type": "Feature", "geometry": geometry, "properties": _properties(record)}


def _line(track: list[TargetRecord]) -> dict:
    geometry = {"type": "LineString", "coordinates": [_position(record) for record in track]}
    properties = {**_properties(track[-1]), "times": [_time(record) for record in track]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}
