"""Localization distillation (LD, Zheng et al. 2022): the shape of each box side's distribution is taught, by region.

Three terms: main (positives), VLR (the ring around them) and classification. None of the two localization terms is
divided by the number of positives, so they grow with the density of objects; that is LD's own choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.soft_targets import soft_kl
from uav_perception.networks.boxes import diou, iou

_ANCHORS_AT_ONCE = 8192  # bounds the memory on images with a thousand objects


@dataclass(frozen=True)
class LdConstants:
    """LD's published constants for GFL; :meth:`published` gives those of each detector.

    Attributes:
        temperature: softens the distributions of the box sides.
        main_scale: factor of the main term: weight 0.25 over 4 sides.
        vlr_weight: lambda_VLR of the paper's Fig. 6 (0, 0.25 or 0.5).
        vlr_divisor: the VLR term is ``vlr_weight / vlr_divisor * sum``.
        gamma: lower end of the DIoU band, relative to the ATSS threshold.
        class_temperature: softens the class scores.
        class_weight: factor of the classification term; 0 switches it off.
    """

    temperature: float = 10.0
    main_scale: float = 0.25 / 4
    vlr_weight: float = 0.25
    vlr_divisor: float = 16.0
    gamma: float = 0.25
    class_temperature: float = 2.0
    class_weight: float = 10.0

    def __post_init__(self) -> None:
        for name in ("temperature", "class_temperature", "vlr_divisor"):
            if not getattr(self, name) > 0:
                raise DistillationError(f"LD's {name} is {getattr(self, name)}; it must be above 0")
        for name in ("main_scale", "vlr_weight", "class_weight"):
            if not getattr(self, name) >= 0:
                raise DistillationError(f"LD's {name} is {getattr(self, name)}; it must be at least 0")
        if not 0 <= self.gamma < 1:
            raise DistillationError(f"LD's gamma is {self.gamma}; it must lie in [0, 1)")

    @property
    def vlr_scale(self) -> float:
        """Factor of the VLR term."""
        return self.vlr_weight / self.vlr_divisor

    @classmethod
    def published(cls, detector: str, **changes: float) -> LdConstants:
        """LD's constants for "gfl", "atss" or "fcos", with ``changes`` on top.

        ATSS: 0.15 * (0.25 / 4); FCOS: 0.25 * (0.25 / 4).
        """
        own = {
            "gfl": {},
            "atss": {"vlr_weight": 0.15 * 0.25, "vlr_divisor": 4.0},
            "fcos": {"vlr_weight": 0.25 * 0.25, "vlr_divisor": 4.0},
        }
        if detector not in own:
            raise DistillationError(f"LD has no constants for the detector {detector!r}; known: {', '.join(own)}")
        return cls(**{**own[detector], **changes})


def distribution_loss(student: Tensor, teacher: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Weighted sum, over locations and the four sides, of the KL of the side distributions (mean over bins).

    Args:
        student: logits (M, 4, bins).
        teacher: logits (M, 4, bins).
        weights: (M,), constant.
        temperature: T, 10 in LD.

    Returns:
        A scalar; 0 with a gradient path when M is 0.
    """
    return (soft_kl(student, teacher, temperature, reduce_bins="mean") * weights.detach()[:, None]).sum()


def class_loss(student: Tensor, teacher: Tensor, levels: Tensor, temperature: float) -> Tensor:
    """Classification KD on the positives: KL over the classes (mean over them), averaged on a level, levels summed.

    Args:
        student: class logits of the positives (P, C).
        teacher: class logits of the positives (P, C).
        levels: pyramid level of each positive (P,), integer.
        temperature: T, 2 in LD.

    Returns:
        A scalar; 0 with a gradient path when P is 0.
    """
    divergence = soft_kl(student, teacher, temperature, reduce_bins="mean")
    if levels.numel() == 0:
        return divergence.sum()
    on_level = torch.bincount(levels)
    return (divergence / on_level[levels]).sum()


def vlr_weights(anchors: Tensor, ground_truth: Tensor, thresholds: Tensor, gamma: float = 0.25) -> Tensor:
    """LD's valuable localization region: anchors in a band of DIoU below the ATSS threshold, weighted by their IoU.

    An anchor belongs to the region of a box when ``gamma * threshold <= DIoU < threshold``; its weight is the largest
    IoU over the boxes whose region it belongs to. (The CID paper writes "DIoU < gamma * threshold", which is not what
    LD computes.)

    Args:
        anchors: (N, 4) xyxy in px.
        ground_truth: (G, 4) xyxy in px.
        thresholds: (G,) ATSS thresholds (mean + std of the candidates' IoU).
        gamma: lower end of the band.

    Returns:
        (N,) weights, 0 outside the region.
    """
    if ground_truth.shape[0] == 0:
        return anchors.new_zeros(anchors.shape[0])
    parts = []
    for part in anchors[:, None].split(_ANCHORS_AT_ONCE):
        distance, overlap = diou(part, ground_truth[None]), iou(part, ground_truth[None])
        inside = (distance >= gamma * thresholds) & (distance < thresholds)
        parts.append(torch.where(inside, overlap, torch.zeros_like(overlap)).amax(dim=1))
    return torch.cat(parts)


def fcos_vlr(points: Tensor, ground_truth: Tensor, positive: Tensor) -> Tensor:
    """LD's region on FCOS: points strictly inside a ground-truth box that are not positives.

    Args:
        points: (N, 2) px.
        ground_truth: (G, 4) xyxy px.
        positive: (N,) bool.

    Returns:
        (N,) bool. LD weights it by the student's highest class score.
    """
    return inside_boxes(points, ground_truth).any(dim=1) & ~positive


def inside_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """Whether each point (N, 2) lies strictly inside each box (G, 4): (N, G) bool."""
    after = points[:, None, :] > boxes[None, :, :2]
    before = points[:, None, :] < boxes[None, :, 2:]
    return (after & before).all(dim=2)
