import pytest
import torch

from uav_perception.networks import action_zoo
from uav_perception.networks.action_zoo import NETWORKS, build, default_feed, load_weights
from uav_perception.networks.bn_inception import BnInception
from uav_perception.networks.c3d import C3d
from uav_perception.networks.errors import NetworkError
from uav_perception.networks.i3d import I3d, pad_same
from uav_perception.networks.vision import torchvision


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: BnInception(1000), 11_295_240),
        (lambda: C3d(101), 78_409_573),
        (lambda: I3d(11), 12_298_539),
        (lambda: I3d(11, "flow"), 12_276_587),
    ],
)
def test_parameters_of_the_networks_written_here(make, count):
    with torch.device("meta"):
        assert parameters(make()) == count


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_maps_its_feed_to_logits(name):
    feed = default_feed(name)
    channels = 2 if feed.modality == "flow" else 3
    with torch.device("meta"):
        network = build(name, 7, feed.frames).eval()
        clip = torch.zeros(2, feed.frames, channels, feed.size, feed.size)
        assert network(clip).shape == (2, 7)


def test_consensus_is_the_mean_of_the_frames():
    torch.manual_seed(0)
    network = build("resnet18", 5).eval()
    clip = torch.randn(1, 4, 3, 64, 64)
    with torch.no_grad():
        alone = torch.cat([network(clip[:, at : at + 1]) for at in range(4)])
        assert torch.allclose(network(clip)[0], alone.mean(0), atol=1e-5)


@pytest.mark.parametrize(("length", "kernel", "stride"), [(224, 7, 2), (15, 3, 2), (16, 3, 2), (7, 2, 2), (9, 3, 1)])
def test_same_padding_is_tensorflows(length, kernel, stride):
    """TensorFlow: ceil(n / s) outputs, the padding's smaller half first."""
    line = pad_same(torch.ones(1, 1, length, 1, 1), (kernel, 1, 1), (stride, 1, 1))[0, 0, :, 0, 0]
    outputs = (len(line) - kernel) // stride + 1
    assert outputs == -(-length // stride)
    before = int((line == 0).nonzero()[0]) if line[0] == 0 else 0
    zeros = [int(line[: len(line) // 2].eq(0).sum()), int(line[len(line) // 2 :].eq(0).sum())]
    assert before == 0 and zeros[1] - zeros[0] in (0, 1)


def test_i3d_names_are_those_of_the_public_conversion():
    with torch.device("meta"):
        names = set(I3d(400).state_dict())
    for name in (
        "Conv3d_1a_7x7.conv3d.weight",
        "Conv3d_1a_7x7.bn.running_mean",
        "Mixed_3b.b1b.conv3d.weight",
        "Mixed_4f.b3b.bn.weight",
        "Mixed_5c.b2a.bn.bias",
        "logits.conv3d.bias",
    ):
        assert name in names
    assert "Conv3d_1a_7x7.conv3d.bias" not in names


def test_imagenet_weights_of_torchvision_fit_larmuv(tmp_path):
    torch.manual_seed(0)
    published = torchvision.models.mobilenet_v3_large(num_classes=1000)
    torch.save(published.state_dict(), tmp_path / "mobilenet_v3_large.pth")
    network = build("larmuv", 11)
    fresh = load_weights(network, "larmuv", str(tmp_path / "mobilenet_v3_large.pth"))
    assert all(name.startswith("head.") for name in fresh)
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = published.eval().features(picture).mean((2, 3))
        assert torch.allclose(network.eval().features(picture), expected, atol=1e-6)


def test_inception_v3_drops_the_auxiliary_head(tmp_path):
    with torch.device("meta"):
        names = torchvision.models.inception_v3(aux_logits=True, init_weights=False).state_dict()
    own = build("inception_v3", 1000).state_dict()
    state = {name: torch.zeros(own.get(f"backbone.{name}", torch.zeros(1)).shape) for name in names}
    torch.save(state, tmp_path / "inception.pth")
    assert load_weights(build("inception_v3", 1000), "inception_v3", str(tmp_path / "inception.pth")) == []


def test_both_conversions_of_bn_inception_load(tmp_path):
    state = BnInception(1000).state_dict()
    older = {name.replace("last_linear", "fc"): value for name, value in state.items()}
    older = {name: value[None] if "_bn." in name and value.ndim == 1 else value for name, value in older.items()}
    for number, content in enumerate((state, older)):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        network = build("bn_inception", 11)
        assert load_weights(network, "bn_inception", str(path)) == [
            "backbone.last_linear.weight",
            "backbone.last_linear.bias",
        ]
        assert torch.equal(network.backbone.conv1_7x7_s2_bn.weight, state["conv1_7x7_s2_bn.weight"])


def test_weights_that_do_not_fit_are_refused(tmp_path):
    state = torchvision.models.resnet18().state_dict()
    state["layer1.0.conv1.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(NetworkError, match=r"backbone\.layer1\.0\.conv1\.weight is"):
        load_weights(build("resnet18", 5), "resnet18", str(tmp_path / "wrong.pth"))
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "missing.pth")
    with pytest.raises(NetworkError, match="1 tensors missing"):
        load_weights(build("resnet18", 5), "resnet18", str(tmp_path / "missing.pth"))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_files_without_weights_are_refused(tmp_path, content):
    path = tmp_path / "wrong.pth"
    if content is None:
        torch.save([torch.zeros(1)], path)
    else:
        path.write_bytes(content)
    with pytest.raises(NetworkError, match=r"wrong\.pth (is damaged or )?holds no weights"):
        load_weights(build("resnet18", 5), "resnet18", str(path))


def test_video_networks_are_fed_as_torchvision_says():
    """Size, scaling and frame rate of its presets; 30 frames a second over the stride."""
    weights = {
        "mvit_v2_s": torchvision.models.video.MViT_V2_S_Weights.DEFAULT,
        "swin3d_t": torchvision.models.video.Swin3D_T_Weights.DEFAULT,
        "r2plus1d_18": torchvision.models.video.R2Plus1D_18_Weights.DEFAULT,
    }
    for name, choice in weights.items():
        feed, preset = default_feed(name), choice.transforms()
        assert (feed.size, feed.short_side) == (preset.crop_size[0], preset.resize_size[0])
        assert [value / 255 for value in feed.mean] == pytest.approx(list(preset.mean), abs=1e-5)
        assert [value / 255 for value in feed.std] == pytest.approx(list(preset.std), abs=1e-5)
        assert f"`frame_rate={30 / feed.stride:g}`" in choice.meta["_docs"]
        assert f"`clip_len={feed.frames}`" in choice.meta["_docs"]


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(NetworkError, match="choose one of larmuv, vgg16"):
        build("slowfast", 5)
    with pytest.raises(NetworkError, match=r"IMAGENET1K_V1"):
        load_weights(build("resnet18", 5), "resnet18", "IMAGENET22K")
    with pytest.raises(NetworkError, match="torchvision has none"):
        load_weights(build("i3d_flow", 5), "i3d_flow", "DEFAULT")
    with pytest.raises(NetworkError, match="resnet18 has no option causal"):
        build("resnet18", 5, causal=True)


def test_difference_input_asks_for_two_frames():
    assert action_zoo.default_feed("larmuv", "rgb_difference").frames_per_sample == 2
