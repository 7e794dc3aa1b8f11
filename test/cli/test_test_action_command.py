import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from uav_perception.cli.main import main
from uav_perception.training.action_model import FORMAT, META_KEY, model_of
from uav_perception.training.action_recipe import NetworkRecipe

CLASSES = ("left", "right", "still")
MEDIA = Path(__file__).parents[2].parent / "shared" / "media" / "action"
MEAN, STD = np.array((123.675, 116.28, 103.53)), np.array((58.395, 57.12, 57.375))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three classes, three test videos each, lossless, so that every decoder gives the same pixels."""
    root = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for number in range(3):
                path = root / part / name / f"{number}.avi"
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 10.0, (48, 40))
                for _ in range(7 + number):
                    writer.write(cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), (48, 40)))
                writer.release()
    (root / "test" / "left" / "broken.avi").write_bytes(b"RIFF")
    return root


@pytest.fixture(scope="module")
def network_and_checkpoint(tmp_path_factory):
    """LARMUV on 32 px with batch norms that have seen noise, so that its answers differ."""
    torch.manual_seed(1)
    model = model_of(NetworkRecipe(size=32, short_side=36, options={"norm_momentum": 1.0}), CLASSES)
    network = model.build()
    network(torch.randn(4, 3, 3, 32, 32))
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    torch.save({"format": FORMAT, META_KEY: model.to_plain(), "state_dict": state}, path)
    return network.eval(), path


@pytest.fixture
def checkpoint(network_and_checkpoint):
    return network_and_checkpoint[1]


@pytest.fixture
def config(data, tmp_path):
    values = {"task": "action", "data": {"format": "folders", "root": str(data), "cache": str(tmp_path / "cache")}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "recipe.yaml"


def answer(network, path):
    """The centre protocol written out: TSN's three middles, short side 36, the middle 32 px."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    tick = len(frames) / 3
    chosen = [frames[int(tick / 2 + tick * part)] for part in range(3)]
    pictures = [cv2.resize(frame, (43, 36))[2:34, 6:38, ::-1] for frame in chosen]
    clip = torch.tensor(np.stack([(picture - MEAN) / STD for picture in pictures]), dtype=torch.float32)
    with torch.no_grad():
        return network(clip.permute(0, 3, 1, 2)[None])[0]


def test_the_headline_protocol_against_a_loop_of_its_own(data, network_and_checkpoint, config, tmp_path, capsys):
    network, checkpoint = network_and_checkpoint
    assert main(["test-action", str(checkpoint), "--config", str(config), "--output", str(tmp_path / "out")]) == 0
    expected = np.zeros((3, 3), int)
    for label, name in enumerate(CLASSES):
        for number in range(3):
            expected[label, answer(network, data / "test" / name / f"{number}.avi").argmax()] += 1
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["confusion"] == expected.tolist()
    top1 = expected.trace() / 9
    assert result["top1"] == pytest.approx(top1) and result["mean_class"] == pytest.approx(top1)
    assert (result["clips"], result["protocol"], result["class_names"]) == (9, "centre", list(CLASSES))
    assert (tmp_path / "out" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert f"Class folders test, centre: top-1 {top1:.4f}, mean class {top1:.4f}, 9 clips, 1 left out" in said


@pytest.mark.parametrize("protocol", ["ten-crop", "interleaved"])
def test_other_protocols(checkpoint, config, capsys, protocol):
    assert main(["test-action", str(checkpoint), "--config", str(config), "--protocol", protocol]) == 0
    assert f"Class folders test, {protocol}: top-1 " in capsys.readouterr().out


def test_single_videos_are_named(data, network_and_checkpoint, capsys):
    network, checkpoint = network_and_checkpoint
    video = data / "test" / "right" / "2.avi"
    assert main(["test-action", str(checkpoint), str(video)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    scores = answer(network, video).softmax(0)
    expected = ", ".join(f"{CLASSES[at]} {scores[at]:.3f}" for at in scores.argsort(descending=True))
    assert line == f"{video} (9 frames, 10.00 fps): {expected}"


@pytest.mark.parametrize(("name", "frames"), [("arm_wrestling.mp4", 280), ("spatiotemporal.mp4", 57)])
def test_real_videos_are_predicted(checkpoint, capsys, name, frames):
    if not (MEDIA / name).is_file():
        pytest.skip(f"no {MEDIA / name}")
    assert main(["test-action", str(checkpoint), str(MEDIA / name)]) == 0
    said = re.fullmatch(r".*\((\d+) frames, [\d.]+ fps\): (.*)\n", capsys.readouterr().out)
    assert int(said[1]) == frames
    assert sum(float(item.split()[1]) for item in said[2].split(", ")) == pytest.approx(1, abs=0.002)


def test_errors_are_said_in_one_line(data, checkpoint, config, tmp_path, capsys):
    def refused(*arguments):
        assert main(["test-action", *map(str, arguments)]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    assert "either video files or --config" in refused(checkpoint)
    assert "does not exist" in refused(tmp_path / "gone.ckpt", "--config", config)
    assert "is not a checkpoint" in refused(_other_checkpoint(tmp_path), "--config", config)
    assert "broken.avi cannot be opened" in refused(checkpoint, data / "test" / "left" / "broken.avi")
    renamed = tmp_path / "renamed"
    for part in ("train", "test"):
        (renamed / part).mkdir(parents=True)
        for name in CLASSES:
            (renamed / part / f"{name}_hand").symlink_to(data / part / name)
    assert "The checkpoint knows ('left', 'right', 'still')" in refused(
        checkpoint, "--config", config, "--set", f"data.root={renamed}"
    )
    assert "25 segments; this network was built for 3" in refused(
        checkpoint, "--config", config, "--protocol", "classic"
    )


def _other_checkpoint(folder):
    torch.save({"state_dict": {}}, folder / "other.ckpt")
    return folder / "other.ckpt"
