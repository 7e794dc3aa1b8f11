import pytest
import torch
import torch.nn.functional as F

from uav_perception.networks.action_zoo import build, load_weights
from uav_perception.networks.i3d import I3d
from uav_perception.networks.inflation import inflate_googlenet, inflate_kernel
from uav_perception.networks.vision import torchvision


@pytest.fixture(scope="module")
def googlenet():
    torch.manual_seed(0)
    network = torchvision.models.googlenet(aux_logits=True, init_weights=False)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def inflated(googlenet):
    network = I3d(1000).eval()
    missing = network.load_state_dict(inflate_googlenet(googlenet.state_dict()), strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    return network


def test_a_kernel_sums_to_itself_over_time():
    kernel = torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    assert inflate_kernel(kernel).shape == (4, 3, 7, 7, 7)
    assert torch.allclose(inflate_kernel(kernel).sum(2), kernel, atol=1e-6)


def test_a_still_video_gives_the_pictures_features(googlenet, inflated):
    """The rule behind inflation, on the stem's first unit, in the middle of the clip, away from the padding in time."""
    picture = torch.randn(1, 3, 32, 32)
    clip = picture[:, :, None].repeat(1, 1, 16, 1, 1)
    with torch.no_grad():
        of_clip = inflated.Conv3d_1a_7x7(clip)[:, :, 4]
        convolved = F.conv2d(F.pad(picture, (2, 3, 2, 3)), googlenet.conv1.conv.weight, stride=2)  # TensorFlow's SAME
        assert torch.allclose(of_clip, torch.relu(googlenet.conv1.bn(convolved)), atol=1e-5)


@pytest.mark.parametrize(("theirs", "ours", "channels"), [("3a", "3b", 192), ("4d", "4e", 512), ("5b", "5c", 832)])
def test_every_branch_comes_from_its_own(googlenet, inflated, theirs, ours, channels):
    features = torch.rand(1, channels, 8, 8)
    still = features[:, :, None].repeat(1, 1, 5, 1, 1)
    with torch.no_grad():
        expected = getattr(googlenet, f"inception{theirs}")(features)
        assert torch.allclose(getattr(inflated, f"Mixed_{ours}")(still)[:, :, 2], expected, atol=1e-4)


def test_imagenet_weights_load_into_i3d(googlenet, tmp_path):
    torch.save(googlenet.state_dict(), tmp_path / "googlenet.pth")
    network = build("i3d_rgb", 11)
    fresh = load_weights(network, "i3d_rgb", str(tmp_path / "googlenet.pth"))
    assert fresh == ["logits.conv3d.weight", "logits.conv3d.bias"]
    same = build("i3d_rgb", 1000)
    assert load_weights(same, "i3d_rgb", str(tmp_path / "googlenet.pth")) == []
    assert torch.equal(same.logits.conv3d.weight[:, :, 0, 0, 0], googlenet.fc.weight)
