"""TSN (Wang et al. 2016): an image classifier on each of K frames, then the mean of their logits (the consensus)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from uav_perception.networks.bn_inception import BnInception
from uav_perception.networks.vision import torchvision

IMAGE_NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "vgg16": lambda classes: torchvision.models.vgg16(num_classes=classes),
    "resnet18": lambda classes: torchvision.models.resnet18(num_classes=classes),
    "resnet34": lambda classes: torchvision.models.resnet34(num_classes=classes),
    "resnet50": lambda classes: torchvision.models.resnet50(num_classes=classes),
    "bn_inception": lambda classes: BnInception(classes, dropout=0.5),
    "inception_v3": lambda classes: torchvision.models.inception_v3(
        num_classes=classes, aux_logits=False, init_weights=False
    ),
}


class Tsn(nn.Module):
    """clip (B, K, 3, H, W) to logits (B, classes)."""

    def __init__(self, backbone: str, classes: int) -> None:
        super().__init__()
        self.backbone = IMAGE_NETWORKS[backbone](classes)

    def forward(self, clip: Tensor) -> Tensor:
        """(B, K, 3, H, W) to (B, classes), for any K."""
        return self.backbone(clip.flatten(0, 1)).unflatten(0, clip.shape[:2]).mean(1)
