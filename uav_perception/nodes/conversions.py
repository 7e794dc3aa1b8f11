"""Between the core's records and ROS messages.

Since Kilted, messages do not check the types of their fields, and an int in a float field ends the process inside the
serialiser. So every number is converted to the field's own type here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from uav_perception.actions.results import ActionResult
from uav_perception.inference.detections import Detections
from uav_perception.msg import ActionArray, ActionLabel, ActionScore, ClassNames, Detection, DetectionArray

_SECOND = 1_000_000_000


def to_time(stamp_ns: int) -> Time:
    """Nanoseconds as a ROS time."""
    seconds, nanoseconds = divmod(int(stamp_ns), _SECOND)
    return Time(sec=seconds, nanosec=nanoseconds)


def from_time(time: Time) -> int:
    """A ROS time in nanoseconds."""
    return time.sec * _SECOND + time.nanosec


def to_header(stamp_ns: int, frame_id: str) -> Header:
    """A header with an image's stamp and frame."""
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)


def class_name(names: Sequence[str], class_id: int) -> str:
    """The class in words; its number where a model numbers more classes than it names."""
    return names[class_id] if 0 <= class_id < len(names) else str(class_id)


def to_detection_array(
    detections: Detections, names: Sequence[str], header: Header, width: int, height: int, model: str
) -> DetectionArray:
    """Detections of one image as a message, by falling score.

    Args:
        detections: boxes in pixels of the image.
        names: the model's class names.
        header: the image's own header.
        width: image width [px].
        height: image height [px].
        model: the model's name.
    """
    message = DetectionArray(header=header, image_width=width, image_height=height, model=model)
    order = np.argsort(-detections.scores, kind="stable")
    rows = zip(
        detections.class_ids[order].tolist(),
        detections.scores[order].tolist(),
        detections.boxes[order].tolist(),
        detections.track_ids[order].tolist(),
        detections.velocities[order].tolist(),
        strict=True,
    )
    message.detections = [
        Detection(
            class_id=class_id,
            class_name=class_name(names, class_id),
            score=score,
            x_min=box[0],
            y_min=box[1],
            x_max=box[2],
            y_max=box[3],
            track_id=track_id,
            velocity_x=velocity[0],
            velocity_y=velocity[1],
        )
        for class_id, score, box, track_id, velocity in rows
    ]
    return message


def from_detection_array(message: DetectionArray) -> Detections:
    """The detections of a message."""
    rows = message.detections
    return Detections(
        boxes=np.array([(d.x_min, d.y_min, d.x_max, d.y_max) for d in rows], np.float32),
        scores=np.array([d.score for d in rows], np.float32),
        class_ids=np.array([d.class_id for d in rows], np.int32),
        track_ids=np.array([d.track_id for d in rows], np.int64),
        velocities=np.array([(d.velocity_x, d.velocity_y) for d in rows], np.float32),
    )


_SCOPES = {"frame": ActionLabel.SCOPE_FRAME, "track": ActionLabel.SCOPE_TRACK}


def to_action_array(results: Iterable[ActionResult], header: Header, model: str) -> ActionArray:
    """Action labels of one tick as a message, in the order given.

    Args:
        results: labels judged from one image.
        header: that image's own header.
        model: the model's name.
    """
    return ActionArray(header=header, model=model, actions=[_to_action_label(result) for result in results])


def _to_action_label(result: ActionResult) -> ActionLabel:
    return ActionLabel(
        scope=_SCOPES[result.scope],
        track_id=int(result.track_id),
        label=result.label,
        score=float(result.score),
        scores=[
            ActionScore(class_id=int(s.class_id), class_name=s.class_name, score=float(s.score)) for s in result.scores
        ],
        window_start=to_time(result.window_start_ns),
        window_end=to_time(result.window_end_ns),
        segments=int(result.segments),
    )


def to_class_names(model: str, task: str, names: Sequence[str]) -> ClassNames:
    """The latched class list of a model."""
    return ClassNames(model=model, task=task, names=list(names))


def to_vision_msgs(message: DetectionArray) -> object:
    """The same detections as ``vision_msgs/Detection2DArray``, for tools that know only those.

    Raises:
        ModuleNotFoundError: vision_msgs is not installed.
    """
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

    result = Detection2DArray(header=message.header)
    for detection in message.detections:
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = detection.class_name
        hypothesis.hypothesis.score = float(detection.score)
        item = Detection2D(header=message.header, results=[hypothesis])
        item.id = str(detection.track_id) if detection.track_id >= 0 else ""
        item.bbox.center.position.x = (detection.x_min + detection.x_max) / 2.0
        item.bbox.center.position.y = (detection.y_min + detection.y_max) / 2.0
        item.bbox.size_x = float(detection.x_max - detection.x_min)
        item.bbox.size_y = float(detection.y_max - detection.y_min)
        result.detections.append(item)
    return result
