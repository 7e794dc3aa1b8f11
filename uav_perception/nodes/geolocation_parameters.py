"""The parameters of the geolocation node, and the settings of the core that they make."""

from __future__ import annotations

import math

from uav_perception.flight.geolocation import METHODS, GeolocationOptions, Mount
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.parameters import Parameter, Parameters, Value


def _fixed(name: str, default: Value, description: str, **limits: object) -> Parameter:
    return Parameter(name, default, description, change="unconfigured", **limits)


PARAMETERS = (
    _fixed(
        "vehicle", "none", "Where the vehicle's state comes from.", choices=("none", "mavros", "px4", "odometry", "tf")
    ),
    _fixed("mavros_prefix", "mavros", "Namespace of MAVROS."),
    _fixed("px4_prefix", "fmu/out", "Prefix of PX4's topics."),
    _fixed("odometry_topic", "odometry", "nav_msgs/Odometry in the map frame, for vehicle odometry."),
    _fixed("fix_topic", "fix", "sensor_msgs/NavSatFix that joins map and globe, for vehicle odometry and tf."),
    _fixed("map_frame", "map", "Frame of the targets: east, north, up."),
    _fixed("base_frame", "base_link", "Frame of the body, for vehicle tf."),
    _fixed(
        "camera_info",
        "",
        "Topic of the CameraInfo; empty: camera_info beside the image topic.",
    ),
    _fixed(
        "gimbal",
        "none",
        "Attitude of the camera: fixed to the body (none), or from messages.",
        choices=("none", "quaternion", "mavros", "px4", "tf"),
    ),
    _fixed("gimbal_topic", "gimbal/attitude", "geometry_msgs/QuaternionStamped: optical frame in the map."),
    _fixed("mount_x", 0.0, "Camera ahead of the body's origin [m].", minimum=-20.0, maximum=20.0),
    _fixed("mount_y", 0.0, "Camera left of it [m].", minimum=-20.0, maximum=20.0),
    _fixed("mount_z", 0.0, "Camera above it [m].", minimum=-20.0, maximum=20.0),
    _fixed("mount_roll", 0.0, "Roll of a fixed camera [deg].", minimum=-180.0, maximum=180.0),
    _fixed("mount_pitch", 0.0, "Pitch of a fixed camera, positive looks down [deg].", minimum=-180.0, maximum=180.0),
    _fixed("mount_yaw", 0.0, "Yaw of a fixed camera, positive to the left [deg].", minimum=-180.0, maximum=180.0),
    _fixed("method", "flat_plane", "How the ground is known.", choices=METHODS),
    _fixed(
        "height_source",
        "none",
        "Height above ground, for method height_above_ground.",
        choices=("none", "relative_altitude", "range"),
    ),
    _fixed("range_topic", "mavros/rangefinder/rangefinder", "sensor_msgs/Range of a range finder that looks down."),
    _fixed("terrain", "", "Terrain file (.hgt or GeoTIFF), for method terrain."),
    _fixed("ground_z", 0.0, "z of the flat ground in the map [m].", minimum=-10000.0, maximum=10000.0),
    _fixed("attitude_std", 0.5, "Error of the attitude where messages tell none [deg].", minimum=0.0, maximum=45.0),
    _fixed("position_std", 0.5, "Error of the position where messages tell none [m].", minimum=0.0, maximum=1000.0),
    _fixed("height_std", 0.5, "Error of the ground's height [m].", minimum=0.0, maximum=1000.0),
    _fixed("time_std", 0.02, "Error of the image's stamp against the vehicle's [s].", minimum=0.0, maximum=10.0),
    _fixed("min_depression", 5.0, "Rays flatter than this are refused [deg].", minimum=0.1, maximum=89.0),
    _fixed("max_range", 500.0, "Places farther away are refused [m].", minimum=1.0, maximum=100000.0),
    _fixed(
        "object_heights",
        "person=1.7,pedestrian=1.7,people=1.7,bicycle=1.2,motor=1.4,car=1.5,van=2.0,truck=3.0,bus=3.0",
        "Heights of classes [m], as name=height by commas; other classes are placed by their lower edge.",
    ),
    _fixed(
        "max_state_gap", 0.5, "Longest time between two states that are interpolated [s].", minimum=0.01, maximum=10.0
    ),
    _fixed(
        "max_state_wait", 0.3, "How long detections wait for the state of their stamp [s].", minimum=0.0, maximum=5.0
    ),
    Parameter("target_track", -1, "Track that is republished on ~/target_pose; -1 for none.", minimum=-1),
    Parameter("target_rate", 10.0, "Most messages a second on ~/target_pose [Hz].", minimum=0.1, maximum=50.0),
)


def camera_mount(parameters: Parameters) -> Mount:
    """How the camera sits on the vehicle."""
    return Mount(
        translation=tuple(parameters[f"mount_{axis}"] for axis in "xyz"),
        roll_pitch_yaw=tuple(math.radians(parameters[f"mount_{axis}"]) for axis in ("roll", "pitch", "yaw")),
        gimbal=parameters["gimbal"] != "none",
    )


def geolocation_options(parameters: Parameters, heights: dict[int, float]) -> GeolocationOptions:
    """How detections are placed; ``heights`` of objects by class id [m]."""
    return GeolocationOptions(
        method=parameters["method"],
        ground_z=parameters["ground_z"],
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
