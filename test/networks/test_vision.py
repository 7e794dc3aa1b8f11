import subprocess
import sys

import torch

from uav_perception.networks.vision import torchvision


def test_models_and_transforms_work_through_the_shim():
    model = torchvision.models.resnet18(weights=None).eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
    flip = torchvision.transforms.functional.hflip
    assert flip(torch.arange(3)[None, None]).tolist() == [[[2, 1, 0]]]


def test_every_submodule_we_use_is_importable_in_a_fresh_process():
    code = (
        "from uav_perception.networks.vision import torchvision\n"
        "import torchvision.ops, torchvision.models.detection\n"
        "import torchvision.models.feature_extraction, torchvision.transforms.v2\n"
        "print(torchvision.models.mobilenet_v3_small(weights=None).features[0][0].out_channels)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "16", done.stderr


def test_another_failure_of_torchvision_is_not_hidden(tmp_path):
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('libcudart is too old')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import uav_perception.networks.vision"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "libcudart is too old" in done.stderr
