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
            ``{"format": "coco", "annotations": "train.json", "images": "train"}``.

    Raises:
        DatasetError: unknown format, missing or unknown keys, or what the reader raises.
    """
    values = dict(description)
    name = values.pop("format", None)
    if name not in _READERS:
        raise DatasetError(f"There is no data set format {name!r}; choose one of {', '.join(_READERS)}.")
    reader, required, optional = _READERS[name]
    missing, unknown = sorted(required - set(values)), sorted(set(values) - required - optional)
    if missing or unknown:
        raise DatasetError(
            f"A {name} data set is described by {', '.join(sorted(required))}"
            + (f" and optionally {', '.join(sorted(optional))}" if optional else "")
            + f"; missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}."
        )
    return reader(**values)
