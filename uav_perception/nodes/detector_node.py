"""Images in, detections out: the detector as a ROS 2 node."""

from __future__ import annotations

import numpy as np

from uav_perception.actions.ticks import TickGrid
from uav_perception.frames.frame import Frame
from uav_perception.inference.detector import Detector
from uav_perception.inference.tiling import Tiling
from uav_perception.msg import ClassNames, DetectionArray
from uav_perception.nodes import conversions
from uav_perception.nodes.autopilot_report import REPORT_PARAMETERS, AutopilotReport
from uav_perception.nodes.diagnostics import OK, WARN, Health, worst
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.gate import GATE_PARAMETERS
from uav_perception.nodes.image_node import ImageNode
from uav_perception.nodes.images import ImageHub
from uav_perception.nodes.model_parameters import MODEL_PARAMETERS, backend_options, find_model
from uav_perception.nodes.motion_input import MotionInput
from uav_perception.nodes.parameters import Parameter, Value
from uav_perception.nodes.picture import Picture
from uav_perception.nodes.publishing import publish
from uav_perception.nodes.qos import OVERRIDABLE, latched, results
from uav_perception.nodes.stamps import Arrival, StampOrder
from uav_perception.nodes.stream import Pipeline
from uav_perception.nodes.vehicle_parameters import VEHICLE_PARAMETERS
from uav_perception.tracking.tracker import Tracker, TrackerOptions

PARAMETERS = (
    *MODEL_PARAMETERS,
    *GATE_PARAMETERS,
    *REPORT_PARAMETERS,
    *VEHICLE_PARAMETERS,
    Parameter(
        "score_threshold",
        0.0,
        "Detections below this score are left out; 0 takes the model's own (0.3 where it says none).",
        minimum=0.0,
        maximum=1.0,
    ),
    Parameter(
        "iou_threshold",
        0.0,
        "Overlap from which the weaker of two boxes falls; 0 takes the model's own (0.6 where it says none).",
        minimum=0.0,
        maximum=1.0,
    ),
    Parameter(
        "class_agnostic",
        False,
        "Boxes of different classes suppress each other too; those of a model whose contract asks for it always do.",
    ),
    Parameter(
        "max_detections",
        0,
        "Most detections in one message, the best ones; 0 takes the model's own (500 where it says none).",
        minimum=0,
        maximum=10000,
    ),
    Parameter("max_rate", 0.0, "Most images looked at in a second [Hz]; 0 for all.", minimum=0.0, maximum=1000.0),
    Parameter(
        "tile_size",
        0,
        "Cut large images into square tiles with this side [px], for very small objects; 0 for whole images.",
        minimum=0,
        maximum=16384,
        change="unconfigured",
    ),
    Parameter(
        "tile_overlap", 0.2, "Shared part of neighbouring tiles.", minimum=0.0, maximum=0.9, change="unconfigured"
    ),
    Parameter("tracking", True, "Give objects ids that stay from image to image.", change="unconfigured"),
    Parameter(
        "camera_motion",
        "image",
        "Take the camera's own motion out of the tracks and their velocities (needs tracking): as the images show it, "
        "as the state of the `vehicle` says, or both: found in the images with the vehicle's help.",
        choices=("none", "image", "vehicle", "both"),
        change="unconfigured",
    ),
    Parameter(
        "track_low_score",
        0.1,
        "A tracked object stays reported down to this score, also below score_threshold.",
        minimum=0.0,
        maximum=1.0,
    ),
    Parameter(
        "max_lost",
        2.0,
        "A track that is not seen for this long ends [s].",
        minimum=0.05,
        maximum=60.0,
        change="unconfigured",
    ),
    Parameter(
        "vision_msgs",
        False,
        "Publish ~/detections_vision (vision_msgs/Detection2DArray) as well.",
        change="unconfigured",
    ),
)


class DetectorNode(ImageNode):
    """Publishes ``~/detections`` for every image it looks at, and its latched ``~/class_names``.

    Args:
        hub: the process's image subscriptions; None for one of its own.
        options: further arguments of `rclpy.lifecycle.LifecycleNode`.
    """

    def __init__(self, hub: ImageHub | None = None, **options: object) -> None:
        self._detector: Detector | None = None
        self._models_own: dict[str, float | bool | int] = {}
        self._tracker: Tracker | None = None
        self._motion: MotionInput | None = None
        self._pipeline: Pipeline[Picture] | None = None
        self._outputs: dict[str, object] = {}
        self._order = StampOrder()
        self._ticks: TickGrid | None = None
        self._report_out: AutopilotReport | None = None
        super().__init__("detector", PARAMETERS, hub, **options)

    def load(self) -> Detector:
        """Load the model and run it."""
        values = self.parameters
        if self._needs_vehicle() and values["vehicle"] == "none":
            raise NodeError(
                f"camera_motion is {values['camera_motion']}, but the parameter vehicle is none. Set vehicle to "
                "mavros, px4, odometry or tf, or camera_motion to image."
            )
        path = find_model(str(values["model"]), "detector")
        tile = int(values["tile_size"])
        detector = Detector(
            path,
            backend=values["backend"],
            tiling=Tiling(tile, tile, values["tile_overlap"]) if tile else None,
            contract_file=values["contract"] or None,
            options=backend_options(values),
        )
        detector.warm_up()
        return detector

    def configure(self, loaded: Detector) -> None:
        """Take the model, and announce its classes."""
        self._detector = loaded
        names = ("score_threshold", "iou_threshold", "class_agnostic", "max_detections")
        self._models_own = {name: getattr(self._detector, name) for name in names}
        self._tracker = Tracker(self._tracker_options()) if self.parameters["tracking"] else None
        self._apply_thresholds()
        contract = self._detector.contract
        self._advertise()
        names = conversions.to_class_names(contract.name, contract.task, contract.class_names)
        publish(self._outputs["class_names"], names, self)
        self.get_logger().info(
            f"{contract.name}: {len(contract.class_names)} classes, input {contract.input_width}x"
            f"{contract.input_height}, {self._detector.backend.description}"
        )

    def activate(self) -> None:
        """Begin to take images."""
        self._limit_rate(float(self.parameters["max_rate"]))
        self.open_gate()
        if self.parameters["report"] != "none":
            names = ("report", "report_component", "report_prefix")
            self._report_out = AutopilotReport(self, *(self.parameters[name] for name in names))
        if self._needs_vehicle():
            self._motion = MotionInput(self, self.parameters, float(self.parameters["max_lost"]))
        self._pipeline = Pipeline(self, self._look, "detector worker")
        self.listen(self._take_picture)

    def deactivate(self) -> None:
        """Take no more images; the model stays loaded, the tracks end."""
        self.stop_listening()
        self.close_gate()
        if self._report_out is not None:
            self._report_out.close()
            self._report_out = None
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None
        if self._motion is not None:
            self._motion.close()
            self._motion = None
        self._order.restart()
        if self._tracker is not None:
            self._tracker.reset()

    def cleanup(self) -> None:
        """Let go of the model and the publishers."""
        self._detector = self._tracker = None
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs = {}

    def parameter_changed(self, name: str, value: Value) -> None:
        """Thresholds and rates take effect with the next image."""
        if name == "max_rate":
            self._limit_rate(float(value))
        elif self._detector is not None:
            self._apply_thresholds()

    def health(self) -> Health:
        """The worker's counts, and what runs."""
        health = self._pipeline.health()
        values = {
            "backend": self._detector.backend.description,
            "model": self._detector.contract.name,
            **self._stage_times(),
            "late_images": self._order.late,
            "time_jumps": self._order.jumps,
        }
        health = Health(health.level, health.message, {**health.values, **values})
        if self._motion is not None:
            problem = self._motion.problem
            text = f"the camera's motion is not known from the vehicle: {problem}" if problem else ""
            health = worst(health, Health(WARN if problem else OK, text, self._motion.counts()))
        health = self.input_health(health)
        if self._report_out is not None:
            self._report_out.is_healthy = health.level in (OK, WARN)
        return health

    def _advertise(self) -> None:
        self._outputs = {
            "detections": self.create_publisher(
                DetectionArray, "~/detections", results(), qos_overriding_options=OVERRIDABLE
            ),
            "class_names": self.create_publisher(ClassNames, "~/class_names", latched()),
        }
        if self.parameters["vision_msgs"]:
            try:
                from vision_msgs.msg import Detection2DArray
            except ModuleNotFoundError as error:
                raise NodeError(
                    "the parameter vision_msgs is true, but vision_msgs is not installed. Install "
                    "ros-$ROS_DISTRO-vision-msgs, or set it to false."
                ) from error
            self._outputs["vision"] = self.create_publisher(
                Detection2DArray, "~/detections_vision", results(), qos_overriding_options=OVERRIDABLE
            )

    def _limit(self, name: str):
        """A limit of detections: the parameter's, or the model's own where the parameter is 0."""
        return self.parameters[name] or self._models_own[name]

    def _needs_vehicle(self) -> bool:
        return bool(self.parameters["tracking"]) and self.parameters["camera_motion"] in ("vehicle", "both")

    def _known_motion(self, picture: Picture, frame: Frame) -> np.ndarray | None:
        """The camera's motion since the last image as the vehicle tells it; asked for when the network is done."""
        source = self._motion
        if source is None:
            return None
        return source.since_last(picture.time_ns, picture.frame_id, frame.width, frame.height)

    def _tracker_options(self) -> TrackerOptions:
        return TrackerOptions.for_threshold(
            self._limit("score_threshold"),
            self.parameters["track_low_score"],
            max_lost_s=self.parameters["max_lost"],
            camera_motion=self.parameters["camera_motion"] in ("image", "both"),
        )

    def _apply_thresholds(self) -> None:
        detector = self._detector
        for name in ("iou_threshold", "class_agnostic", "max_detections"):
            setattr(detector, name, self._limit(name))
        if self._tracker is None:
            detector.score_threshold = self._limit("score_threshold")
        else:  # the tracker's second stage lives on weak detections, and leaves out those that belong to no track
            self._tracker.options = self._tracker_options()
            detector.score_threshold = self._tracker.options.low_score

    def _stage_times(self) -> dict[str, float]:
        timings = self._detector.timings
        if timings is None:
            return {}
        return {f"{stage}_ms": getattr(timings, stage) for stage in ("preprocess", "inference", "postprocess")}

    def _limit_rate(self, rate: float) -> None:
        self._ticks = TickGrid(rate) if rate > 0.0 else None

    def _take_picture(self, picture: Picture) -> None:
        if not self.passes():
            return
        arrival = self._order.judge(picture.stamp_ns)
        if arrival is Arrival.LATE:
            return
        if arrival is Arrival.JUMP:  # the tracker sees it in the stamps and starts anew by itself
            self.get_logger().info("time went back; tracks start anew")
        if self._ticks is None or self._ticks.due(picture.time_ns):
            self._pipeline.worker.put(picture)

    def _look(self, picture: Picture) -> None:
        """On the worker's thread: detect, track and publish."""
        frame = picture.frame()
        detections = self._detector.detect(frame.image)
        if self._tracker is not None:
            motion = self._known_motion(picture, frame)
            detections = self._tracker.update(detections, picture.time_ns, frame.image, motion)
        contract = self._detector.contract
        message = conversions.to_detection_array(
            detections,
            contract.class_names,
            conversions.to_header(picture.stamp_ns, picture.frame_id),
            frame.width,
            frame.height,
            contract.name,
        )
        if "vision" in self._outputs:
            publish(self._outputs["vision"], conversions.to_vision_msgs(message), self)
        if publish(self._outputs["detections"], message, self):
            self._pipeline.published(picture.received, picture.stamp_ns)
