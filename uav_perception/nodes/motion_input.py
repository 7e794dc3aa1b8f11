"""The camera's motion between the images of a worker, from the vehicle's state."""

from __future__ import annotations

from collections import Counter

import numpy as np
from rclpy.node import Node

from uav_perception.flight.errors import FlightError
from uav_perception.nodes.camera_input import CameraInput
from uav_perception.nodes.parameters import Parameters
from uav_perception.nodes.vehicle_parameters import camera_mount
from uav_perception.nodes.vehicle_sources import VehicleLink
from uav_perception.tracking.vehicle_motion import vehicle_motion


class MotionInput:
    """Subscribes to the vehicle and the CameraInfo when it is made; `since_last` is called by one worker's thread.

    Args:
        node: subscribes and logs.
        parameters: of the node, with `VEHICLE_PARAMETERS`.
        max_gap_s: after a longer time without an image nothing is left to follow, and no motion is asked for [s].

    Attributes:
        problem: why the motion up to the newest image is not known; empty when it is.

    Raises:
        NodeError: the messages it needs are not installed, or settings contradict each other.
    """

    def __init__(self, node: Node, parameters: Parameters, max_gap_s: float) -> None:
        self._node = node
        self._max_gap_ns = round(max_gap_s * 1e9)
        self._mount = camera_mount(parameters)
        self._ground_z = float(parameters["ground_z"])
        self._vehicle = VehicleLink(node, parameters)
        self._camera = CameraInput(node, str(parameters["camera_info"]))
        self._last_ns: int | None = None
        self._unknown: Counter[str] = Counter()
        self.problem = ""

    def since_last(self, stamp_ns: int, camera_frame: str, width: int, height: int) -> np.ndarray | None:
        """The motion from the image of the last call to this one. Ask for it late: the state comes after the image.

        Args:
            stamp_ns: of the image [ns].
            camera_frame: its frame.
            width: of the image [px].
            height: of the image [px].

        Returns:
            Shape (3, 3), pixels of the last image to pixels of this one; None for the first image and after a gap or a
            jump of time, and when the vehicle's state or the calibration is missing, which is counted, and said when it
            begins.
        """
        last_ns, self._last_ns = self._last_ns, stamp_ns
        if last_ns is None or not 0 < stamp_ns - last_ns <= self._max_gap_ns:
            return None
        try:
            camera = self._camera.for_image(width, height)
            # Beyond a range finder's reach `ground_z` is the next best guess of the ground.
            last, present = (self._vehicle.at(stamp, camera_frame, False) for stamp in (last_ns, stamp_ns))
            motion = vehicle_motion(last, present, camera, self._mount, self._ground_z)
        except FlightError as error:
            self._unknown[getattr(error, "reason", "camera")] += 1
            self._say(str(error))
            return None
        self._say("")
        return motion

    def counts(self) -> dict[str, int]:
        """Images without a known motion by reason, and what was odd about the vehicle's state; for diagnostics."""
        unknown = {f"motion_unknown_{reason}": count for reason, count in sorted(self._unknown.items())}
        return {**unknown, **self._vehicle.counts()}

    def close(self) -> None:
        """End the subscriptions."""
        self._vehicle.close()
        self._camera.close()

    def _say(self, problem: str) -> None:
        if problem and not self.problem:
            self._node.get_logger().warning(f"the camera's motion is not known from the vehicle: {problem}")
        self.problem = problem
