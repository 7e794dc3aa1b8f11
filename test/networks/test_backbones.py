import pytest
import torch
from torch import nn

from uav_perception.networks.backbones import make_backbone
from uav_perception.networks.errors import NetworkError
from uav_perception.networks.fpn import FeaturePyramid
from uav_perception.networks.vision import torchvision


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (64, 128, 256, 512)),
        ("resnet50", (256, 512, 1024, 2048)),
        ("mobilenet_v3_small", (16, 24, 48, 96)),
        ("mobilenet_v3_large", (24, 40, 112, 160)),
    ],
)
@pytest.mark.parametrize("finest", [4, 8])
def test_levels_have_the_promised_channels_and_strides(name, channels, finest):
    backbone = make_backbone(name, 0, False, finest).eval()
    levels = backbone(torch.zeros(1, 3, 64, 96))
    assert backbone.channels == tuple(level.shape[1] for level in levels) == channels[0 if finest == 4 else 1 :]
    assert [tuple(level.shape[2:]) for level in levels] == [(64 // s, 96 // s) for s in (4, 8, 16, 32) if s >= finest]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_public_weights_load_and_give_the_same_features(tmp_path, name):
    torch.manual_seed(0)
    reference = getattr(torchvision.models, name)(weights=None).eval()
    with torch.no_grad():
        for part in reference.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    backbone = make_backbone(name, 1, True, weights=tmp_path / "weights.pth").eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found = backbone(image)[-1]
        if name == "resnet18":
            expected = nn.Sequential(*list(reference.children())[:-2])(image)
        else:
            expected = reference.features[:12](image)
    torch.testing.assert_close(found, expected)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(NetworkError, match="do not fit ResNetStages"):
        make_backbone("resnet50", 1, True, weights=tmp_path / "resnet18.pth")
    with pytest.raises(NetworkError, match="no backbone 'vgg'; choose one of resnet18"):
        make_backbone("vgg", 1, True)


def test_frozen_stages_and_norms_stay_as_they_are():
    backbone = make_backbone("resnet18", frozen_stages=1, norm_eval=True).train()
    frozen = {name for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {"stem", "layer1"}
    norms = [part for part in backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)
    assert backbone.layer3[0].bn1.weight.requires_grad  # the affine part learns all the same
    before = backbone.layer4[0].bn1.running_mean.clone()
    backbone(torch.randn(2, 3, 64, 64))
    assert torch.equal(before, backbone.layer4[0].bn1.running_mean)

    free = make_backbone("resnet18", frozen_stages=0, norm_eval=False).train()
    assert all(parameter.requires_grad for parameter in free.parameters())
    assert all(part.training for part in free.modules())


def test_the_pyramid_adds_what_comes_from_above():
    pyramid = FeaturePyramid((4, 6, 8), 5)
    features = [torch.zeros(1, 4, 13, 21), torch.zeros(1, 6, 7, 11), torch.randn(1, 8, 4, 6)]
    levels = pyramid(features)
    assert [tuple(level.shape) for level in levels] == [
        (1, 5, 13, 21), (1, 5, 7, 11), (1, 5, 4, 6), (1, 5, 2, 3), (1, 5, 1, 2)
    ]  # fmt: skip
    top = pyramid.laterals[2](features[2])
    middle = pyramid.laterals[1](features[1]) + nn.functional.interpolate(top, size=(7, 11))
    torch.testing.assert_close(levels[1], pyramid.outputs[1](middle))
    torch.testing.assert_close(levels[4], pyramid.extras[1](pyramid.extras[0](levels[2])))
    fcos = FeaturePyramid((4, 6, 8), 5, relu_before_extra=True)
    levels = fcos(features)
    torch.testing.assert_close(levels[4], fcos.extras[1](levels[3].relu()))
