"""The parameters of every node that needs to know where the vehicle and its camera are."""

from __future__ import annotations

import math

from uav_perception.flight.geolocation import Mount
from uav_perception.nodes.parameters import Parameter, Parameters, Value


def fixed(name: str, default: Value, description: str, **limits: object) -> Parameter:
    """A parameter that can be changed only while the node is unconfigured."""
    return Parameter(name, default, description, change="unconfigured", **limits)


PREFIX_PARAMETERS = (
    fixed("mavros_prefix", "mavros", "Namespace of MAVROS."),
    fixed("px4_prefix", "fmu/out", "Prefix of PX4's topics."),
)

VEHICLE_PARAMETERS = (
    fixed(
        "vehicle", "none", "Where the vehicle's state comes from.", choices=("none", "mavros", "px4", "odometry", "tf")
    ),
    fixed("odometry_topic", "odometry", "nav_msgs/Odometry in the map frame, for vehicle odometry."),
    fixed("fix_topic", "fix", "sensor_msgs/NavSatFix that joins map and globe, for vehicle odometry and tf."),
    fixed("map_frame", "map", "Frame of the targets: east, north, up."),
    fixed("base_frame", "base_link", "Frame of the body, for vehicle tf."),
    fixed("camera_info", "", "Topic of the CameraInfo; empty: camera_info beside the image topic."),
    fixed(
        "gimbal",
        "none",
        "Attitude of the camera: fixed to the body (none), or from messages.",
        choices=("none", "quaternion", "mavros", "px4", "tf"),
    ),
    fixed("gimbal_topic", "gimbal/attitude", "geometry_msgs/QuaternionStamped: optical frame in the map."),
    fixed("mount_x", 0.0, "Camera ahead of the body's origin [m].", minimum=-20.0, maximum=20.0),
    fixed("mount_y", 0.0, "Camera left of it [m].", minimum=-20.0, maximum=20.0),
    fixed("mount_z", 0.0, "Camera above it [m].", minimum=-20.0, maximum=20.0),
    fixed("mount_roll", 0.0, "Roll of a fixed camera [deg].", minimum=-180.0, maximum=180.0),
    fixed("mount_pitch", 0.0, "Pitch of a fixed camera, positive looks down [deg].", minimum=-180.0, maximum=180.0),
    fixed("mount_yaw", 0.0, "Yaw of a fixed camera, positive to the left [deg].", minimum=-180.0, maximum=180.0),
    fixed(
        "height_source",
        "none",
        "Height above ground.",
        choices=("none", "relative_altitude", "range"),
    ),
    fixed("range_topic", "mavros/rangefinder/rangefinder", "sensor_msgs/Range of a range finder that looks down."),
    fixed("ground_z", 0.0, "z of the flat ground in the map [m].", minimum=-10000.0, maximum=10000.0),
    fixed(
        "max_state_gap", 0.5, "Longest time between two states that are interpolated [s].", minimum=0.01, maximum=10.0
    ),
)


def camera_mount(parameters: Parameters) -> Mount:
    """How the camera sits on the vehicle."""
    return Mount(
        translation=tuple(parameters[f"mount_{axis}"] for axis in "xyz"),
        roll_pitch_yaw=tuple(math.radians(parameters[f"mount_{axis}"]) for axis in ("roll", "pitch", "yaw")),
        gimbal=parameters["gimbal"] != "none",
    )
