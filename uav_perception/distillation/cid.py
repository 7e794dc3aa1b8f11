"""Centerness-based Instance-aware Distillation (CID) and the global masked term, equations 7 to 11 of arXiv 2411.02861.

Where LD looks for valuable locations by the overlap of anchors, which small objects never reach, CID asks how far off
centre a location lies in the box that the teacher predicts there: ``1 - centerness``, near ground truth only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.localization import inside_boxes

NEAR_DIAGONALS = 0.75

REGIONS = ("cid", "cid_within_gt", "own")
GLOBAL_TENSORS = ("logits", "tower", "none")


@dataclass(frozen=True)
class CidConstants:
    """What the paper fixes and, where it is silent, this project's choice.

    Attributes:
        region: "cid" (eq. 7 on the teacher's boxes), "cid_within_gt" (on ground truth, as FCOS defines centerness;
            Fig. 6) or "own", the region of the method underneath (LD's VLR; BCKD's every location).
        gamma: eq. 8; locations with a centerness below it count (Table 9: 0.45 is best).
        alpha: eq. 9; factor of the region beside the positives.
        beta: eq. 11; factor of the global term.
        masked: probability that a pixel is hidden from the generator (the paper's lambda = 0.65).
        global_tensor: what eq. 10 rebuilds: "logits" (the regression output, literally), "tower" (the 256-channel map
            before the prediction) or "none".
        average_levels: divide eq. 9 and 10 by the number of levels (their 1/N read literally) instead of summing over
            the levels, as LD does.
    """

    region: str = "cid"
    gamma: float = 0.45
    alpha: float = 1.0
    beta: float = 4.0
    masked: float = 0.65
    global_tensor: str = "logits"
    average_levels: bool = False

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise DistillationError(f"CID's region is {self.region!r}; use one of {', '.join(REGIONS)}")
        if self.global_tensor not in GLOBAL_TENSORS:
            raise DistillationError(
                f"CID's global_tensor is {self.global_tensor!r}; use one of {', '.join(GLOBAL_TENSORS)}"
            )
        if not 0 <= self.gamma <= 1:
            raise DistillationError(f"CID's gamma is {self.gamma}; it must lie in [0, 1]")
        if not 0 <= self.masked < 1:
            raise DistillationError(f"CID's masked share is {self.masked}; it must lie in [0, 1)")
        for name in ("alpha", "beta"):
            if not getattr(self, name) >= 0:
                raise DistillationError(f"CID's {name} is {getattr(self, name)}; it must be at least 0")


def centerness(points: Tensor, boxes: Tensor) -> Tensor:
    """Equation 7: how central a point is in a box, ``sqrt(min(l,r)/max(l,r) * min(t,b)/max(t,b))``.

    Distances of a point outside the box are clamped to 0, which gives 0. A box without extent has no off-centre
    locations: its 0/0 counts as 1, so eq. 8 gives it no weight.

    Args:
        points: (..., 2) px.
        boxes: (..., 4) xyxy px, broadcast against the points.

    Returns:
        (...) in [0, 1].
    """
    low = (points - boxes[..., :2]).clamp(min=0)
    high = (boxes[..., 2:] - points).clamp(min=0)
    shorter, longer = torch.minimum(low, high), torch.maximum(low, high)
    ratio = torch.where(longer > 0, shorter / longer.clamp(min=torch.finfo(longer.dtype).tiny), torch.ones_like(longer))
    return ratio.prod(dim=-1).sqrt()


def near_ground_truth(points: Tensor, ground_truth: Tensor, diagonals: float = NEAR_DIAGONALS) -> Tensor:
    """The paper's first filter: points within 0.75 diagonals of a ground-truth box's centre.

    Args:
        points: (N, 2) px.
        ground_truth: (G, 4) xyxy px.
        diagonals: radius in diagonals of the box.

    Returns:
        (N,) bool; no ground truth, no point.
    """
    centers = (ground_truth[:, :2] + ground_truth[:, 2:]) / 2
    reach = diagonals * (ground_truth[:, 2:] - ground_truth[:, :2]).norm(dim=1)
    distance = torch.cdist(points, centers, compute_mode="donot_use_mm_for_euclid_dist")  # the other mode is inexact
    return (distance <= reach).any(dim=1)


def eccentricity(center: Tensor, gamma: float) -> Tensor:
    """Equation 8: ``1 - centerness`` below ``gamma``, else 0."""
    return torch.where(center < gamma, 1 - center, torch.zeros_like(center))


def cid_weights(points: Tensor, teacher_boxes: Tensor, ground_truth: Tensor, gamma: float) -> Tensor:
    """Equations 7 and 8 with the first filter.

    Args:
        points: (N, 2) centres of the cells, px.
        teacher_boxes: (N, 4) the box that the teacher predicts at each cell, xyxy px.
        ground_truth: (G, 4) xyxy px.
        gamma: threshold on the centerness.

    Returns:
        (N,) weights in [0, 1].
    """
    weights = eccentricity(centerness(points, teacher_boxes), gamma)
    return weights * near_ground_truth(points, ground_truth)


def cid_within_gt_weights(points: Tensor, ground_truth: Tensor, gamma: float) -> Tensor:
    """ "CID within GT" of Fig. 6: eq. 8 on FCOS's centerness, in the smallest ground-truth box around the point.

    Args:
        points: (N, 2) px.
        ground_truth: (G, 4) xyxy px.
        gamma: threshold on the centerness.

    Returns:
        (N,) weights; 0 outside every ground-truth box.
    """
    if ground_truth.shape[0] == 0:
        return points.new_zeros(points.shape[0])
    inside = inside_boxes(points, ground_truth)
    areas = (ground_truth[:, 2:] - ground_truth[:, :2]).prod(dim=1)
    smallest = torch.where(inside, areas[None], torch.full_like(areas, torch.inf)[None]).argmin(dim=1)
    weights = eccentricity(centerness(points, ground_truth[smallest]), gamma)
    return weights * inside.any(dim=1)


def global_loss(rebuilt: Tensor, teacher: Tensor) -> Tensor:
    """Equation 10 on one level: mean Smooth-L1 (beta 1) of the rebuilt and the teacher's map, both (N, C, H, W)."""
    return F.smooth_l1_loss(rebuilt, teacher.detach(), beta=1.0, reduction="mean")
