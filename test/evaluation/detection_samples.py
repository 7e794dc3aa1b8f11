"""Truth with perturbed detections, on which metrics are compared."""

import json
from pathlib import Path

import numpy as np

from uav_perception.evaluation.detection import ImageTruth
from uav_perception.inference.detections import Detections

VISDRONE_JSON = Path(__file__).parents[2].parent / "shared/media/aerial/visdrone_det_train_first50.json"


def random_truth(rng, classes=4, size=400, most=12, regions=2):
    count = int(rng.integers(0, most))
    corner = rng.uniform(0, size * 0.8, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(4, 120, (count, 2))])
    region_corner = rng.integers(0, size // 2, (regions, 2))
    return ImageTruth(
        boxes.round(),
        rng.integers(0, classes, count),
        ignored=rng.random(count) < 0.2,
        ignore_regions=np.hstack([region_corner, region_corner + rng.integers(20, 160, (regions, 2))]),
        width=size,
        height=size,
    )


def perturbed(truth, rng, classes, false=6, noise=0.12):
    """Some of the true boxes, moved and sometimes of a wrong class, and some boxes from nowhere; scores with ties."""
    kept = truth[rng.random(len(truth)) < 0.85]
    sides = np.tile(kept.boxes[:, 2:] - kept.boxes[:, :2], 2)
    moved = kept.boxes + rng.normal(0, noise, kept.boxes.shape) * sides
    corner = rng.uniform(0, max(truth.width, 50) * 0.8, (false, 2))
    boxes = np.vstack([moved, np.hstack([corner, corner + rng.uniform(4, 90, (false, 2))])])
    class_ids = np.concatenate([kept.class_ids, rng.integers(0, classes, false)])
    wrong = rng.random(len(class_ids)) < 0.1
    class_ids[wrong] = rng.integers(0, classes, wrong.sum())
    return Detections(boxes, rng.random(len(boxes)).round(2), class_ids)


def random_images(seed, images=25, classes=4, regions=2):
    rng = np.random.default_rng(seed)
    truths = [random_truth(rng, classes, regions=regions) for _ in range(images)]
    return truths, [perturbed(truth, rng, classes) for truth in truths]


def visdrone_images(seed=0):
    """The annotations of 50 real VisDrone images, and perturbed boxes as detections."""
    data = json.loads(VISDRONE_JSON.read_text())
    rng = np.random.default_rng(seed)
    truths = []
    for image in data["images"]:
        rows = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        boxes = np.array([a["bbox"] for a in rows], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        truths.append(ImageTruth(boxes, [a["category_id"] for a in rows], width=image["width"], height=image["height"]))
    return truths, [perturbed(truth, rng, classes=2, false=20) for truth in truths], ("human", "vehicle")
