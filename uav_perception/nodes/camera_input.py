"""The camera's calibration, from the CameraInfo beside its images."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from uav_perception.flight.camera import CameraModel
from uav_perception.flight.errors import FlightError, StateError
from uav_perception.nodes.qos import sensor


class CameraInput:
    """Subscribes to the CameraInfo when it is made.

    Args:
        node: subscribes and logs.
        topic: of the CameraInfo; empty for ``camera_info`` beside the topic `image`.

    Attributes:
        problem: why there is no calibration, empty when there is one.
    """

    def __init__(self, node: Node, topic: str = "") -> None:
        self._node = node
        self._camera: CameraModel | None = None
        self._fitted: tuple[CameraModel, CameraModel] | None = None  # the camera, and the same for the images' size
        self._fields: tuple | None = None
        self.problem = "no CameraInfo has arrived"
        topic = topic or node.resolve_topic_name("image").rsplit("/", 1)[0] + "/camera_info"
        self._subscription = node.create_subscription(CameraInfo, topic, self._take, sensor())

    def for_image(self, width: int, height: int) -> CameraModel:
        """The camera of images of a size, from any thread. The same object as long as calibration and size stay.

        Raises:
            StateError: ``no_camera_info``, there is no calibration; `problem` says why.
            FlightError: the calibration is of another shape.
        """
        camera = self._camera
        if camera is None:
            raise StateError("no_camera_info", self.problem)
        fitted = self._fitted
        if fitted is None or fitted[0] is not camera or (fitted[1].width, fitted[1].height) != (width, height):
            fitted = self._fitted = (camera, camera.for_image(width, height))
        return fitted[1]

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _take(self, message: CameraInfo) -> None:
        fields = (
            message.width,
            message.height,
            tuple(message.k),
            tuple(message.d),
            message.distortion_model,
            (message.binning_x, message.binning_y),
            (message.roi.x_offset, message.roi.y_offset),
            (message.roi.width, message.roi.height),
        )
        if fields == self._fields:  # drivers repeat it with every image
            return
        self._fields = fields
        try:
            camera = CameraModel.from_camera_info(*fields)
        except FlightError as error:
            if self.problem != str(error):
                self._node.get_logger().error(f"the CameraInfo is not used: {error}")
            self._camera, self.problem = None, str(error)
        else:
            self._camera, self.problem = camera, ""
