"""Accuracies against torchmetrics, an implementation that shares nothing with ours."""

import importlib

import pytest
import torch

from uav_perception.training.action_testing import accuracy_of, confusion_matrix, draw_confusion, report_of

# After our own import: torchmetrics imports torchvision, whose operators do not fit every torch.
metrics = importlib.import_module("torchmetrics.functional.classification")


def answers(classes, count, seed, absent=()):
    """Uneven labels, right in about half of the cases; ``absent`` classes have no clip but may be predicted."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.arange(1, classes + 1, dtype=torch.float)
    weights[list(absent)] = 0
    labels = torch.multinomial(weights, count, replacement=True, generator=generator)
    guesses = torch.randint(classes, (count,), generator=generator)
    return labels, torch.where(torch.rand(count, generator=generator) < 0.5, labels, guesses)


@pytest.mark.parametrize(("classes", "count", "absent"), [(2, 9, ()), (11, 300, ()), (51, 1530, (3, 40)), (7, 1, ())])
def test_accuracies_are_those_of_torchmetrics(classes, count, absent):
    labels, predicted = answers(classes, count, classes, absent)
    confusion = confusion_matrix(labels, predicted, classes)
    assert torch.equal(confusion, metrics.multiclass_confusion_matrix(predicted, labels, classes))
    accuracy = accuracy_of(confusion)
    micro = metrics.multiclass_accuracy(predicted, labels, classes, average="micro").item()
    assert accuracy["top1"] == pytest.approx(micro, abs=1e-6)
    of_class = metrics.multiclass_accuracy(predicted, labels, classes, average="none")
    there = labels.unique()
    assert accuracy["mean_class"] == pytest.approx(of_class[there].mean().item(), abs=1e-6)
    if len(there) == classes:
        macro = metrics.multiclass_accuracy(predicted, labels, classes, average="macro").item()
        assert accuracy["mean_class"] == pytest.approx(macro, abs=1e-6)
    report = report_of(confusion, [f"c{number}" for number in range(classes)])
    assert report["clips"] == count
    assert [report["per_class"][f"c{number}"] for number in there] == pytest.approx(of_class[there].tolist(), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 25, 51])
def test_the_picture_is_written_whole(tmp_path, classes):
    labels, predicted = answers(classes, 200, 0, absent=(0,))
    names = [f"class {number}" for number in range(classes)]
    draw_confusion(confusion_matrix(labels, predicted, classes), names, tmp_path / "confusion.png")
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]
    import cv2

    assert min(cv2.imread(str(tmp_path / "confusion.png")).shape[:2]) > 400
