import pytest
import torch

from uav_perception.networks.errors import NetworkError
from uav_perception.networks.larmuv import FEATURE_SIZE, Larmuv, LarmuvOptions, TemporalHead
from uav_perception.networks.temporal_shift import shift


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("classes", "count"), [(11, 10_611_771), (51, 10_650_211), (101, 10_698_261)])
def test_parameters_are_the_papers(classes, count):
    assert parameters(Larmuv(LarmuvOptions(classes, positions="none"))) == count
    assert parameters(Larmuv(LarmuvOptions(classes))) == count + 3 * FEATURE_SIZE


def test_without_positions_the_order_of_the_frames_does_not_matter():
    torch.manual_seed(0)
    window = torch.randn(2, 3, FEATURE_SIZE)
    for positions, same in (("none", True), ("learned", False)):
        head = TemporalHead(LarmuvOptions(11, positions=positions)).eval()
        with torch.no_grad():
            assert torch.allclose(head(window), head(window.flip(1)), atol=1e-5) is same


def test_the_encoder_is_the_papers_formula():
    """Equations 3 to 5 written out in float64, with the post-norm residuals of Vaswani et al."""
    torch.manual_seed(0)
    head = TemporalHead(LarmuvOptions(7, positions="none")).double().eval()
    layer = head.encoder
    x = window = torch.randn(2, 3, FEATURE_SIZE, dtype=torch.float64)
    q, k, v = (x @ layer.self_attn.in_proj_weight.T + layer.self_attn.in_proj_bias).chunk(3, -1)
    heads = []
    for part in range(2):
        of = slice(part * 480, (part + 1) * 480)
        attention = torch.softmax(q[..., of] @ k[..., of].transpose(1, 2) / 480**0.5, -1)
        heads.append(attention @ v[..., of])
    attended = torch.cat(heads, -1) @ layer.self_attn.out_proj.weight.T + layer.self_attn.out_proj.bias
    x = torch.nn.functional.layer_norm(x + attended, (FEATURE_SIZE,), layer.norm1.weight, layer.norm1.bias)
    inner = torch.relu(x @ layer.linear1.weight.T + layer.linear1.bias) @ layer.linear2.weight.T + layer.linear2.bias
    x = torch.nn.functional.layer_norm(x + inner, (FEATURE_SIZE,), layer.norm2.weight, layer.norm2.bias)
    expected = x.mean(1) @ head.classifier.weight.T + head.classifier.bias
    assert torch.allclose(head(window), expected, atol=1e-10)


def test_the_two_halves_make_the_whole():
    torch.manual_seed(0)
    network = Larmuv(LarmuvOptions(5)).eval()
    clip = torch.randn(2, 3, 3, 64, 64)
    with torch.no_grad():
        one_by_one = torch.stack([network.features(clip[:, at]) for at in range(3)], 1)
        assert torch.allclose(network.head(one_by_one), network(clip), atol=1e-5)


def test_a_causal_prefix_does_not_know_the_future():
    torch.manual_seed(0)
    head = TemporalHead(LarmuvOptions(5, causal=True)).eval()
    window, other = torch.randn(2, 1, 3, FEATURE_SIZE)
    other[:, :2] = window[:, :2]
    with torch.no_grad():
        logits, changed = head.prefix_logits(window), head.prefix_logits(other)
        assert torch.allclose(logits[:, :2], changed[:, :2], atol=1e-6)
        assert not torch.allclose(logits[:, 2], changed[:, 2], atol=1e-3)
        assert torch.allclose(logits[:, 2], head(window), atol=1e-5)


def test_difference_input_ignores_what_does_not_move():
    torch.manual_seed(0)
    network = Larmuv(LarmuvOptions(5, input="rgb_difference")).eval()
    still = torch.randn(1, 3, 3, 64, 64)
    with torch.no_grad():
        one = network(torch.cat([still, still], 2))
        two = network(torch.cat([still + 1, still + 1], 2))
    assert torch.allclose(one, two, atol=1e-5)


def test_shift_moves_an_eighth_each_way():
    features = torch.arange(1, 4, dtype=torch.float32)[:, None, None, None].expand(3, 16, 1, 1)
    moved = shift(features, 3)[:, :, 0, 0]
    assert moved[:, :2].T.tolist() == [[0, 1, 2]] * 2
    assert moved[:, 2:4].T.tolist() == [[2, 3, 0]] * 2
    assert moved[:, 4:].T.tolist() == [[1, 2, 3]] * 12
    causal = shift(features, 3, causal=True)[:, :, 0, 0]
    assert causal[:, :2].T.tolist() == [[0, 1, 2]] * 2
    assert causal[:, 2:].T.tolist() == [[1, 2, 3]] * 14


def test_shift_keeps_clips_apart_and_checkpoints_interchangeable():
    torch.manual_seed(0)
    plain = Larmuv(LarmuvOptions(5, norm_momentum=1.0))
    clips = torch.randn(2, 3, 3, 64, 64)
    plain(clips)  # batch norms learn the scale: with their initial statistics every picture gives nearly the same
    shifted = Larmuv(LarmuvOptions(5, temporal_shift=True)).eval()
    shifted.load_state_dict(plain.eval().state_dict())
    with torch.no_grad():
        together = shifted(clips)
        assert torch.allclose(together[:1], shifted(clips[:1]), atol=1e-5)
        assert not torch.allclose(together, plain(clips), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "at least 2 classes"),
        ({"classes": 5, "positions": "sine"}, "learned, none"),
        ({"classes": 5, "input": "flow"}, "rgb, rgb_difference"),
        ({"classes": 5, "causal": True, "attention": False}, "needs attention"),
        ({"classes": 5, "encoder_dropout": 1.0}, r"\[0, 1\)"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        LarmuvOptions(**options)


def test_a_clip_of_another_length_is_refused():
    with pytest.raises(NetworkError, match="4 segments; this network was built for 3"):
        Larmuv(LarmuvOptions(5))(torch.zeros(1, 4, 3, 64, 64))
