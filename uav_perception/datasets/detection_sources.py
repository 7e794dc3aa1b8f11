"""Opening a detection data set from a recipe's description of it."""

from __future__ import annotations

from uav_perception.datasets.coco import read_coco
from uav_perception.datasets.detection_set import DetectionSet
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.uavdt import read_uavdt
from uav_perception.datasets.visdrone import read_visdrone

_READERS = {
    "coco": (read_coco, {"annotations", "images"}, {"class_names"}),
    "visdrone": (read_visdrone, {"root"}, set()),
    "uavdt": (read_uavdt, {"images", "annotations", "split"}, {"every"}),
}


def open_detection_set(description: dict[str, object]) -> DetectionSet:
    """Read the data set that a recipe describes.

    Args:
        description: ``format`` (coco, visdrone or uavdt) and the arguments of that format's reader, for example
            ``{"format": "coco", "annotations": "train.json", "images": "train"}``. The format ``joined`` puts several
            sets of the same classes one after the other: ``{"format": "joined", "sets": [{...}, {...}]}``. A key that
            is None counts as missing: so a recipe takes away what it inherits.

    Raises:
        DatasetError: unknown format, missing or unknown keys, sets of different classes, or what the reader raises.
    """
    values = {key: value for key, value in description.items() if value is not None}
    name = values.pop("format", None)
    if name == "joined":
        return _joined(values)
    if name not in _READERS:
        raise DatasetError(f"There is no data set format {name!r}; choose one of {', '.join([*_READERS, 'joined'])}.")
    reader, required, optional = _READERS[name]
    missing, unknown = sorted(required - set(values)), sorted(set(values) - required - optional)
    if missing or unknown:
        raise DatasetError(
            f"A {name} data set is described by {', '.join(sorted(required))}"
            + (f" and optionally {', '.join(sorted(optional))}" if optional else "")
            + f"; missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}."
        )
    return reader(**values)


def _joined(values: dict[str, object]) -> DetectionSet:
    descriptions = values.get("sets")
    if set(values) != {"sets"} or not isinstance(descriptions, list) or not descriptions:
        raise DatasetError(
            f"A joined data set is described by `sets`, a list of at least one description, not by {values!r}."
        )
    parts = [open_detection_set(description) for description in descriptions]
    for number, part in enumerate(parts[1:], 2):
        if part.class_names != parts[0].class_names:
            raise DatasetError(
                f"Sets can be joined when their classes are the same: the first has {', '.join(parts[0].class_names)}, "
                f"number {number} has {', '.join(part.class_names)}. Name the wanted ones with class_names."
            )
    return DetectionSet(
        tuple(image for part in parts for image in part.images),
        parts[0].class_names,
        tuple(problem for part in parts for problem in part.problems),
    )
