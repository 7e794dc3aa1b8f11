"""Images in, action labels out: the action recogniser as a ROS 2 node."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from uav_perception.actions.model import ActionModel
from uav_perception.actions.recogniser import Recogniser, RecogniserOptions
from uav_perception.inference.detections import Detections
from uav_perception.msg import ActionArray, ClassNames, DetectionArray
from uav_perception.nodes import conversions
from uav_perception.nodes.diagnostics import WARN, Health, worst
from uav_perception.nodes.gate import GATE_PARAMETERS
from uav_perception.nodes.image_node import ImageNode
from uav_perception.nodes.images import ImageHub
from uav_perception.nodes.matching import StampMatcher
from uav_perception.nodes.model_parameters import MODEL_PARAMETERS, backend_options, find_model
from uav_perception.nodes.parameters import Parameter, Value
from uav_perception.nodes.picture import Picture
from uav_perception.nodes.publishing import publish
from uav_perception.nodes.qos import OVERRIDABLE, latched, results
from uav_perception.nodes.stamps import Arrival, StampOrder
from uav_perception.nodes.stream import Pipeline

_WAITING_IMAGES = 30  # about a second of images may wait for their detections

PARAMETERS = (
    *MODEL_PARAMETERS,
    *GATE_PARAMETERS,
    Parameter(
        "scope",
        "frame",
        "Judge the whole image, every tracked actor, or both. Actors come from the topic `detector/detections`.",
        choices=("frame", "track", "both"),
        change="unconfigured",
    ),
    Parameter(
        "actor_classes",
        "person,pedestrian,people",
        "Names of the detector's classes that act, separated by commas; empty for all.",
        change="unconfigured",
    ),
    Parameter(
        "tick_hz",
        0.0,
        "Looks a second [Hz]; 0 takes the model's own.",
        minimum=0.0,
        maximum=100.0,
        change="unconfigured",
    ),
    Parameter(
        "window_s",
        0.0,
        "Length of the window [s]; 0 takes the model's own.",
        minimum=0.0,
        maximum=60.0,
        change="unconfigured",
    ),
    Parameter("track_budget", 8, "Most actors looked at in a tick.", minimum=1, maximum=256, change="unconfigured"),
    Parameter(
        "crop_scale",
        1.8,
        "Side of an actor's crop over the longer side of its box.",
        minimum=1.0,
        maximum=4.0,
        change="unconfigured",
    ),
    Parameter("top_k", 5, "How many classes are listed with their scores.", minimum=1, maximum=1000),
)


@dataclass(frozen=True)
class Look:
    """One image to judge: its actors when there are detections, else the whole of it."""

    picture: Picture
    detections: DetectionArray | None = None


class ActionNode(ImageNode):
    """Publishes ``~/actions`` for every tick of a scope, and its latched ``~/class_names``.

    The whole image needs images only. Actors are judged when the detections of an image have come (topic
    ``detector/detections``). With scope ``both`` neither waits for the other.

    Args:
        hub: the process's image subscriptions; None for one of its own.
        options: further arguments of `rclpy.lifecycle.LifecycleNode`.
    """

    def __init__(self, hub: ImageHub | None = None, **options: object) -> None:
        self._recogniser: Recogniser | None = None
        self._pipeline: Pipeline[Look] | None = None
        self._outputs: dict[str, object] = {}
        self._detections_subscription: object = None
        self._order = StampOrder()
        self._waiting: StampMatcher[Picture, DetectionArray] = StampMatcher(_WAITING_IMAGES)
        super().__init__("action", PARAMETERS, hub, **options)

    def load(self) -> Recogniser:
        """Load the model and run it once."""
        path = find_model(str(self.parameters["model"]), "action")
        options = RecogniserOptions(
            tick_hz=self.parameters["tick_hz"] or None,
            window_s=self.parameters["window_s"] or None,
            top_k=self.parameters["top_k"],
            crop_scale=self.parameters["crop_scale"],
            track_budget=self.parameters["track_budget"],
        )
        contract_file = self.parameters["contract"] or None
        model = ActionModel(path, self.parameters["backend"], contract_file, backend_options(self.parameters))
        recogniser = Recogniser(model, options=options)
        recogniser.update(np.zeros((model.contract.input_height, model.contract.input_width, 3), np.uint8), 0)
        recogniser.reset()
        return recogniser

    def configure(self, loaded: Recogniser) -> None:
        """Take the model, and announce its classes."""
        self._recogniser = loaded
        model, contract = loaded.model, loaded.model.contract
        self._outputs = {
            "actions": self.create_publisher(ActionArray, "~/actions", results(), qos_overriding_options=OVERRIDABLE),
            "class_names": self.create_publisher(ClassNames, "~/class_names", latched()),
        }
        names = conversions.to_class_names(contract.name, contract.task, contract.class_names)
        publish(self._outputs["class_names"], names, self)
        self.get_logger().info(
            f"{contract.name}: {len(contract.class_names)} classes, {model.segments} images in "
            f"{loaded.options.window_s or model.window_s:g} s, {model.description}"
        )

    def activate(self) -> None:
        """Begin to take images, and detections when actors are judged."""
        self.open_gate()
        self._pipeline = Pipeline(self, self._judge, "action worker")
        if self.parameters["scope"] != "frame":
            self._detections_subscription = self.create_subscription(
                DetectionArray,
                "detector/detections",
                self._take_detections,
                results(),
                qos_overriding_options=OVERRIDABLE,
            )
        self.listen(self._take_picture)

    def deactivate(self) -> None:
        """Take nothing more; the model stays loaded, its window is emptied."""
        self.stop_listening()
        self.close_gate()
        if self._detections_subscription is not None:
            self.destroy_subscription(self._detections_subscription)
            self._detections_subscription = None
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None
        self._order.restart()
        self._waiting.clear()
        if self._recogniser is not None:
            self._recogniser.reset()

    def cleanup(self) -> None:
        """Let go of the model and the publishers."""
        self._recogniser = None
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs = {}

    def parameter_changed(self, name: str, value: Value) -> None:
        """The number of listed classes takes effect with the next tick."""
        if name == "top_k" and self._recogniser is not None:
            self._recogniser.options = replace(self._recogniser.options, top_k=value)

    def health(self) -> Health:
        """The worker's counts, and what the recogniser dropped."""
        health = self._pipeline.health()
        recogniser = self._recogniser
        values = {
            "backend": recogniser.model.description,
            "model": recogniser.model.contract.name,
            "scope": self.parameters["scope"],
            "late_images": self._order.late,
            "time_jumps": self._order.jumps,
            "actors_waiting": recogniser.tracks_waiting,
            **{f"dropped_{reason}": count for reason, count in sorted(recogniser.drops.items())},
        }
        if self.parameters["scope"] != "frame":
            values["detections_without_image"] = self._waiting.unmatched
            if not self.get_publishers_info_by_topic(self.resolve_topic_name("detector/detections")):
                text = f"nobody publishes {self.resolve_topic_name('detector/detections')}, so no actor can be judged"
                health = worst(health, Health(WARN, text))
        return self.input_health(Health(health.level, health.message, {**health.values, **values}))

    def _take_picture(self, picture: Picture) -> None:
        if not self.passes():
            return
        arrival = self._order.judge(picture.stamp_ns)
        if arrival is Arrival.LATE:
            return
        if arrival is Arrival.JUMP:
            # The recogniser sees the jump in the stamps and drops its windows by itself.
            self.get_logger().info("time went back; the window starts anew")
            self._waiting.clear()
        if self.parameters["scope"] != "track":
            self._pipeline.worker.put(Look(picture), lane="frame")
        if self.parameters["scope"] != "frame":
            self._pair(self._waiting.add_left(picture.stamp_ns, picture))

    def _take_detections(self, message: DetectionArray) -> None:
        self._pair(self._waiting.add_right(conversions.from_time(message.header.stamp), message))

    def _pair(self, pair: tuple[Picture, DetectionArray] | None) -> None:
        if pair is not None:
            self._pipeline.worker.put(Look(*pair), lane="track")

    def _judge(self, look: Look) -> None:
        """On the worker's thread: judge and publish."""
        picture, recogniser = look.picture, self._recogniser
        frame = picture.frame()
        if look.detections is None:
            whole = recogniser.update(frame.image, picture.time_ns)
            found = [] if whole is None else [whole]
        else:
            found = recogniser.update_tracks(frame.image, picture.time_ns, self._actors(look.detections))
        if not found:
            return  # no tick falls on this image
        header = conversions.to_header(picture.stamp_ns, picture.frame_id)
        message = conversions.to_action_array(found, header, recogniser.model.contract.name)
        if publish(self._outputs["actions"], message, self):
            self._pipeline.published(picture.received, picture.stamp_ns)

    def _actors(self, message: DetectionArray) -> Detections:
        wanted = {name.strip() for name in str(self.parameters["actor_classes"]).split(",") if name.strip()}
        detections = conversions.from_detection_array(message)
        if not wanted:
            return detections
        return detections[np.array([d.class_name in wanted for d in message.detections], bool)]
