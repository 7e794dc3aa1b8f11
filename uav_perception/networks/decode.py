"""From a head's output to detections, in torch: what training and evaluation of checkpoints use on any device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uav_perception.inference.detections import Detections
from uav_perception.networks import boxes as box_ops
from uav_perception.networks.detector import Detector, DetectorOutput


@dataclass(frozen=True)
class DecodeConfig:
    """Published inference constants of GFL, ATSS and FCOS.

    Attributes:
        score_threshold: (cell, class) pairs below it are dropped; compared with the class probability.
        per_level: pairs kept per level, best first.
        nms_iou: of two boxes of one class that overlap more, the weaker goes.
        maximum: detections kept per image: 100 for COCO, 500 for VisDrone and UAVDT.
    """

    score_threshold: float = 0.05
    per_level: int = 1000
    nms_iou: float = 0.6
    maximum: int = 500


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression; the indices kept, best score first. Equal scores keep their order.

    Args:
        boxes: (N, 4).
        scores: (N,).
        threshold: a box that overlaps a better one by more than this is dropped.
    """
    order = scores.argsort(descending=True, stable=True)
    suppresses = torch.triu(box_ops.iou(boxes[order, None], boxes[order]) > threshold, diagonal=1).cpu()
    alive = torch.ones(len(order), dtype=torch.bool)
    for row in torch.nonzero(suppresses.any(1)).flatten().tolist():
        if alive[row]:
            alive &= ~suppresses[row]
    return order[alive.to(order.device)]


def class_wise_nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """:func:`nms` within each class; the indices kept, best score first."""
    kept = []
    for label in labels.unique():
        rows = torch.nonzero(labels == label).flatten()
        kept.append(rows[nms(boxes[rows], scores[rows], threshold)])
    if not kept:
        return labels.new_zeros(0)
    rows = torch.cat(kept)
    return rows[scores[rows].argsort(descending=True, stable=True)]


@torch.no_grad()
def decode_batch(
    detector: Detector, output: DetectorOutput, sizes: list[tuple[int, int]], config: DecodeConfig
) -> list[Detections]:
    """Detections of every image of a batch, in pixels of the network's input.

    Args:
        detector: gives the head that decodes.
        output: of the batch.
        sizes: height and width of each image without padding [px]; boxes are clipped to it.
        config: constants.
    """
    head, grid = detector.head, output.head.grid
    boxes, probabilities, scores = head.decode(output.head), head.class_scores(output.head), head.scores(output.head)
    results = []
    for image, (height, width) in enumerate(sizes):
        cells, labels = _candidates(probabilities[image], scores[image], grid.level_sizes, config)
        found = boxes[image, cells]
        limit = found.new_tensor([width, height, width, height])
        found = torch.minimum(found.clamp(min=0), limit)
        ranking = scores[image][cells, labels]
        keep = class_wise_nms(found, ranking, labels, config.nms_iou)[: config.maximum]
        results.append(Detections(found[keep].cpu().numpy(), ranking[keep].cpu().numpy(), labels[keep].cpu().numpy()))
    return results


def _candidates(
    probabilities: Tensor, scores: Tensor, level_sizes: list[int], config: DecodeConfig
) -> tuple[Tensor, Tensor]:
    """Cells and classes of the best pairs of each level whose class probability passes the threshold."""
    cells, labels, start = [], [], 0
    for size, probability, score in zip(
        level_sizes, probabilities.split(level_sizes), scores.split(level_sizes), strict=True
    ):
        pairs = torch.nonzero(probability > config.score_threshold)
        if len(pairs) > config.per_level:
            pairs = pairs[score[pairs[:, 0], pairs[:, 1]].topk(config.per_level).indices]
        cells.append(pairs[:, 0] + start)
        labels.append(pairs[:, 1])
        start += size
    return torch.cat(cells), torch.cat(labels)
