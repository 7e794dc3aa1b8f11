import numpy as np
import pytest
import torch

from uav_perception.datasets import clip_transforms as transforms
from uav_perception.datasets.clip_transforms import Augmentation
from uav_perception.datasets.errors import DatasetError
from uav_perception.networks.vision import torchvision


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)


def test_the_papers_ten_crop_sizes():
    pairs = transforms.crop_sides(256, transforms.TSN_SCALES, 1)
    assert len(pairs) == 10
    assert {side for pair in pairs for side in pair} == {256, 224, 192, 168}
    order = [256, 224, 192, 168]
    assert all(abs(order.index(width) - order.index(height)) <= 1 for width, height in pairs)


def test_five_positions_and_sizes_are_drawn_evenly():
    rng = np.random.default_rng(0)
    drawn = [transforms.draw_crop(256, 340, Augmentation(), rng) for _ in range(5000)]
    sizes = {crop[2:] for crop in drawn}
    assert len(sizes) == 10
    for size in sizes:
        of_size = [crop for crop in drawn if crop[2:] == size]
        assert len(of_size) == pytest.approx(500, abs=90)
        right, bottom = 340 - size[0], 256 - size[1]
        corners = {(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)}
        assert {crop[:2] for crop in of_size} == corners


@pytest.mark.parametrize("positions", ["uniform", "near_centre"])
def test_other_positions_stay_inside(positions):
    rng = np.random.default_rng(0)
    drawn = [transforms.draw_crop(100, 140, Augmentation(positions=positions, shift=0.1), rng) for _ in range(500)]
    for x, y, width, height in drawn:
        assert 0 <= x <= 140 - width and 0 <= y <= 100 - height
        if positions == "near_centre":
            assert abs(x + width / 2 - 70) <= 11 and abs(y + height / 2 - 50) <= 11


def test_one_draw_for_the_whole_clip():
    """Three equal frames stay equal through every random step."""
    frame = np.random.default_rng(1).integers(0, 256, (1, 256, 340, 3), np.uint8)
    for seed in range(10):
        out = transforms.augment(np.repeat(frame, 3, 0), 224, Augmentation(), np.random.default_rng(seed))
        assert out.shape == (3, 224, 224, 3)
        assert (out == out[:1]).all()


def test_flip_probability():
    ramp = np.tile(np.arange(100, dtype=np.uint8), (1, 100, 1))[..., None].repeat(3, -1)
    plain = Augmentation(None, (1.0,), brightness=0, contrast=0, saturation=0)
    rng = np.random.default_rng(0)
    mirrored = sum(int(transforms.augment(ramp, 100, plain, rng)[0, 0, 0, 0] > 50) for _ in range(1000))
    assert mirrored == pytest.approx(500, abs=60)


def test_mirrored_flow_changes_the_sign_of_x():
    flow = np.full((1, 4, 6, 2), 127, np.uint8)
    flow[0, 0, 0] = (200, 90)
    mirrored = transforms.flip(flow, flow=True)
    assert mirrored[0, 0, 5].tolist() == [55, 90]
    assert mirrored[0, 0, 0].tolist() == [128, 127]


@pytest.mark.parametrize(
    "factors", [(1, 1, 1), (1.4, 1, 1), (0.6, 1, 1), (1, 1.4, 1), (1, 0.6, 1), (1, 1, 1.4), (1, 1, 0.6)]
)
def test_jitter_is_torchvisions(clip, factors):
    """One factor at a time, on a one-frame clip, where torchvision's mean is ours."""
    functional = torchvision.transforms.functional
    picture = torch.from_numpy(clip[0, :, :, ::-1].copy()).permute(2, 0, 1)
    brightness, contrast, saturation = factors
    expected = functional.adjust_brightness(picture, brightness)
    expected = functional.adjust_contrast(expected, contrast)
    expected = functional.adjust_saturation(expected, saturation)
    ours = transforms.jitter(clip[:1], *factors)[0, :, :, ::-1]
    difference = np.abs(ours.astype(int) - expected.permute(1, 2, 0).numpy().astype(int))
    assert difference.max() <= 2


def test_centre_crop_agrees_with_the_runtime():
    """What training tests on is what the node's preprocessing feeds."""
    from uav_perception.inference.contract import ModelContract
    from uav_perception.inference.preprocess import Preprocessor

    rng = np.random.default_rng(0)
    for height, width in ((174, 240), (384, 640), (181, 216), (300, 200)):
        frame = rng.integers(0, 256, (height, width, 3), np.uint8)
        contract = ModelContract(
            "action", "test", 112, 112, ("a", "b"), "larmuv",
            {"segments": 3, "feature_size": 960, "window_seconds": 2.0, "tick_hz": 5.0},
            resize="short_side_crop", resize_short_side=140,
        )  # fmt: skip
        fed = Preprocessor(contract)(frame)[0][0].transpose(1, 2, 0)[..., ::-1]
        ours = transforms.centre_crop(transforms.to_short_side(frame[None], 140), 112)[0]
        assert (fed == ours).all()


def test_ten_crops():
    picture = np.arange(6 * 8, dtype=np.uint8).reshape(1, 6, 8, 1)
    crops = transforms.ten_crops(picture, 4)
    assert crops.shape == (10, 1, 4, 4, 1)
    assert [int(crop[0, 0, 0, 0]) for crop in crops[:5]] == [0, 4, 16, 20, 10]
    assert (crops[5:] == crops[:5, :, :, ::-1]).all()


@pytest.mark.parametrize(
    "options",
    [
        {"scales": ()},
        {"scales": (1.2,)},
        {"positions": "corner"},
        {"flip": 2},
        {"contrast": -1},
        {"frame_size": (256,)},
        {"shift": -1.0},
    ],
)
def test_wrong_augmentation_is_refused(options):
    with pytest.raises(DatasetError):
        Augmentation(**options)
