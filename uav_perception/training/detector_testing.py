"""Measuring a trained detector on a data set, by both protocols."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from uav_perception.datasets.detection_loading import ImageStore, TestImages, collate
from uav_perception.datasets.detection_set import DetectionSet
from uav_perception.evaluation.detection import coco_metrics, uavdt_metrics, visdrone_metrics
from uav_perception.inference.detections import Detections
from uav_perception.networks.decode import DecodeConfig, decode_batch
from uav_perception.provenance import provenance
from uav_perception.training.checkpoints import read_detector
from uav_perception.training.errors import CheckpointError

PROTOCOLS = ("coco", "visdrone", "uavdt")


def to_original(detections: Detections, size: tuple[int, int], original: tuple[int, int]) -> Detections:
    """Scale boxes from an image resized to ``size`` (height, width) back to its ``original`` size."""
    factors = [original[1] / size[1], original[0] / size[0]] * 2
    return replace(detections, boxes=detections.boxes * factors)


def measure(detections: dict[int, Detections], dataset: DetectionSet, class_names: tuple[str, ...]) -> dict[str, Any]:
    """COCO and VisDrone metrics of the images that were looked at (undecodable ones are left out of all).

    Where there are ignore regions, UAVDT's too: COCO's know none, and count what is detected there as false.

    Args:
        detections: by index of the image in the data set, in pixels of the original image.
        dataset: the annotations.
        class_names: name by class id.
    """
    indices = sorted(detections)
    truths = [dataset.images[index].truth for index in indices]
    found = [detections[index] for index in indices]
    metrics = {
        "images": len(indices),
        "coco": coco_metrics(truths, found, class_names),
        "visdrone": visdrone_metrics(truths, found, class_names),
    }
    if any(len(truth.ignore_regions) for truth in truths):
        metrics["uavdt"] = uavdt_metrics(truths, found, class_names)
    return metrics


def evaluate_checkpoint(
    path: str | Path, dataset: DetectionSet, batch: int = 1, device: str | None = None
) -> dict[str, Any]:
    """Detect on every image of a data set at the size that the checkpoint was evaluated at, and measure.

    Args:
        path: ``detector.pt``.
        dataset: with the checkpoint's classes.
        batch: images a step.
        device: torch's name; a GPU when there is one.

    Returns:
        :func:`measure`'s metrics, with a provenance record under ``made``.

    Raises:
        CheckpointError: the data set has other classes.
    """
    checkpoint = read_detector(path)
    if checkpoint.class_names != dataset.class_names:
        raise CheckpointError(
            f"{path} knows the classes {', '.join(checkpoint.class_names)}, the data set has "
            f"{', '.join(dataset.class_names)}."
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    detector = checkpoint.detector.to(device)
    constants = DecodeConfig(**checkpoint.recipe.get("inference", {}))
    images = TestImages(ImageStore(dataset), *checkpoint.test_size)
    found: dict[int, Detections] = {}
    for loaded in tqdm(DataLoader(images, batch_size=batch, collate_fn=collate), desc="images", unit="batch"):
        if not loaded.indices:
            continue
        sizes = [(target.height, target.width) for target in loaded.targets]
        with torch.no_grad():
            output = detector(loaded.images.to(device))
        for index, size, detections in zip(
            loaded.indices, sizes, decode_batch(detector, output, sizes, constants), strict=True
        ):
            truth = dataset.images[index].truth
            found[index] = to_original(detections, size, (truth.height, truth.width))
    return measure(found, dataset, checkpoint.class_names) | {"made": provenance()}
