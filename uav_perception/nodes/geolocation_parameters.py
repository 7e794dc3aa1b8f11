"""The parameters of the geolocation node, and the settings of the core that they make."""

from __future__ import annotations

from uav_perception.flight.geolocation import METHODS, OBJECT_HEIGHTS, TERRAIN_REFERENCES, GeolocationOptions
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.parameters import Parameter, Parameters
from uav_perception.nodes.vehicle_parameters import PREFIX_PARAMETERS, VEHICLE_PARAMETERS, fixed

PARAMETERS = (
    *PREFIX_PARAMETERS,
    *VEHICLE_PARAMETERS,
    fixed("method", "flat_plane", "How the ground is known.", choices=METHODS),
    fixed("terrain", "", "Terrain file (.hgt or GeoTIFF), for method terrain."),
    fixed(
        "terrain_reference",
        "map",
        "What its heights count from: shifted to `ground_z` at the map's origin (map), or the ellipsoid.",
        choices=TERRAIN_REFERENCES,
    ),
    fixed("attitude_std", 0.5, "Error of the attitude where messages tell none [deg].", minimum=0.0, maximum=45.0),
    fixed("position_std", 0.5, "Error of the position where messages tell none [m].", minimum=0.0, maximum=1000.0),
    fixed("height_std", 0.5, "Error of the ground's height [m].", minimum=0.0, maximum=1000.0),
    fixed("time_std", 0.02, "Error of the image's stamp against the vehicle's [s].", minimum=0.0, maximum=10.0),
    fixed("min_depression", 5.0, "Rays flatter than this are refused [deg].", minimum=0.1, maximum=89.0),
    fixed("max_range", 500.0, "Places farther away are refused [m].", minimum=1.0, maximum=100000.0),
    fixed(
        "object_heights",
        ",".join(f"{name}={height}" for name, height in OBJECT_HEIGHTS.items()),
        "Heights of classes [m], as name=height by commas; other classes are placed by their lower edge.",
    ),
    fixed(
        "max_state_wait", 0.3, "How long detections wait for the state of their stamp [s].", minimum=0.0, maximum=5.0
    ),
    Parameter("target_track", -1, "Track that is republished on ~/target_pose; -1 for none.", minimum=-1),
    Parameter("target_rate", 10.0, "Most messages a second on ~/target_pose [Hz].", minimum=0.1, maximum=50.0),
)


def geolocation_options(parameters: Parameters, heights: dict[int, float]) -> GeolocationOptions:
    """How detections are placed; ``heights`` of objects by class id [m]."""
    return GeolocationOptions(
        method=parameters["method"],
        ground_z=parameters["ground_z"],
        terrain_reference=parameters["terrain_reference"],
        attitude_std_deg=parameters["attitude_std"],
        position_std_m=parameters["position_std"],
        height_std_m=parameters["height_std"],
        time_std_s=parameters["time_std"],
        min_depression_deg=parameters["min_depression"],
        max_range_m=parameters["max_range"],
        object_heights=heights,
    )


def parse_heights(text: str) -> dict[str, float]:
    """Heights by class name, out of ``person=1.7,car=1.5``.

    Raises:
        NodeError: an entry has another form.
    """
    heights = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = entry.partition("=")
        try:
            heights[name.strip()] = float(value)
        except ValueError as error:
            raise NodeError(f"object_heights: {entry!r} must have the form name=height, such as person=1.7.") from error
    return heights
