import pytest
import torch
import yaml
from torch import nn

from uav_perception.deployment.cost_detection import VISDRONE_INPUT, count, demo_config, detector_records, rows
from uav_perception.deployment.mac_counter import count_operations
from uav_perception.networks.detector import DetectorConfig
from uav_perception.resources import resource


def test_each_kind_of_operation_is_counted_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.GroupNorm(2, 8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Flatten(),
        nn.Linear(8 * 3 * 2, 5),
    )
    found = count_operations(network, torch.zeros(1, 3, 12, 8))
    assert found.convolution == 8 * 6 * 4 * 27 + 8 * 3 * 2 * 9
    assert found.bias == 8 * 6 * 4
    assert found.norm == 2 * 8 * 6 * 4
    assert found.relu == found.pool == 8 * 6 * 4
    assert found.matrix == 48 * 5
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert found.true_macs == found.convolution + found.matrix


@pytest.mark.parametrize(
    ("backbone", "classes", "shape", "giga"),
    [
        ("resnet18", 10, VISDRONE_INPUT, 162.308),
        ("resnet50", 10, VISDRONE_INPUT, 214.314),
        ("resnet101", 10, VISDRONE_INPUT, 294.190),
        ("resnet18", 80, VISDRONE_INPUT, 165.91),
        ("resnet50", 80, VISDRONE_INPUT, 217.91),
        ("resnet101", 80, VISDRONE_INPUT, 297.79),
        ("resnet18", 3, (540, 1024), 84.22),
        ("resnet101", 10, (540, 1024), 152.78),
    ],
)
def test_the_count_of_the_facts(backbone, classes, shape, giga):
    counted = count(DetectorConfig(classes, "gfl", backbone), *shape).paper_macs / 1e9
    assert counted == pytest.approx(giga, abs=6e-3)


def test_light_ml_adds_one_dense_convolution_over_22300_cells():
    plain = count(DetectorConfig(10, "gfl", "resnet18"), *VISDRONE_INPUT)
    lifted = count(DetectorConfig(10, "gfl", "resnet18", fusion="light_ml"), *VISDRONE_INPUT)
    assert lifted.convolution - plain.convolution == 128 * 128 * 9 * 22_300
    # 147,456 weights, and gain and shift of the normalisation after them.
    assert lifted.parameters - plain.parameters == 147_456 + 2 * 128


def test_every_printed_number_is_met_or_its_difference_is_explained():
    records = detector_records()
    assert {record["table"] for record in records} >= {"1", "2", "3", "4", "6", "7"}
    for record in records:
        if record["printed_gflops"] is None:
            continue
        met = round(record["macs_paper"] / 1e9, 1) == record["printed_gflops"]
        assert met or record["note"], record
    table_7 = [round(record["macs_paper"] / 1e9, 1) for record in records if record["table"] == "7"]
    assert table_7 == [162.3, 165.6, 175.5, 191.9, 214.9]
    table_6 = [round(record["macs_paper"] / 1e9, 1) for record in records if record["table"] == "6"]
    assert table_6 == [162.3, 163.8, 162.7]


def test_the_demo_row_is_the_demo_recipe():
    recipe = yaml.safe_load(resource("config", "recipes", "sim_gfl_light.yaml").read_text(encoding="utf-8"))
    assert DetectorConfig.from_dict({"num_classes": 6, **recipe["model"]}) == demo_config()
    assert any(row.config == demo_config() for row in rows())
