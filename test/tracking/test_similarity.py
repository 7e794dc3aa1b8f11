import cv2
import numpy as np
import pytest

from uav_perception.tracking.similarity import SIMILARITIES, buffered_iou, diou, iou, wasserstein

A = np.array([[0.0, 0, 10, 10], [5, 5, 15, 25]])


def painted_iou(a: np.ndarray, b: np.ndarray) -> float:
    """By counting pixels of painted boxes with whole-number corners."""
    pictures = [cv2.rectangle(np.zeros((60, 60)), (int(x0), int(y0)), (int(x1) - 1, int(y1) - 1), 1, -1)
                for x0, y0, x1, y1 in (a, b)]  # fmt: skip
    return np.logical_and(*pictures).sum() / np.logical_or(*pictures).sum()


def test_iou_equals_painted_pixels():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 30, (20, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 30, (20, 2))], axis=1).astype(float)
    expected = [[painted_iou(a, b) for b in boxes] for a in boxes]
    np.testing.assert_allclose(iou(boxes, boxes), expected, atol=1e-12)


def test_buffered_iou_sees_boxes_that_do_not_touch():
    a, b = np.array([[0.0, 0, 4, 4]]), np.array([[6.0, 0, 10, 4]])
    assert iou(a, b)[0, 0] == 0
    # Enlarged by half a side: -2..6 and 4..12 share 2 of 14 columns.
    assert buffered_iou(a, b)[0, 0] == pytest.approx(2 / 14)


def test_wasserstein_in_closed_form():
    a, b = np.array([[0.0, 0, 4, 4]]), np.array([[3.0, 4, 7, 8]])
    assert wasserstein(a, b)[0, 0] == pytest.approx(np.exp(-5 / 4))
    wide = np.array([[-2.0, 0, 6, 4]])
    assert wasserstein(a, wide)[0, 0] == pytest.approx(np.exp(-2 / ((4 + np.sqrt(32)) / 2)))


def test_diou_in_closed_form():
    a, b = np.array([[0.0, 0, 2, 2]]), np.array([[2.0, 0, 4, 2]])
    assert diou(a, b)[0, 0] == pytest.approx((1 + 0 - 4 / 20) / 2)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_common_properties(name):
    measure = SIMILARITIES[name]
    np.testing.assert_allclose(np.diag(measure(A, A)), 1.0)
    far = np.array([[1000.0, 1000, 1001, 1001]])
    assert (measure(A, far) < 0.01).all()
    np.testing.assert_allclose(measure(A, A), measure(A, A).T)
    np.testing.assert_allclose(measure(A * 7, A[::-1] * 7), measure(A, A[::-1]))
    assert measure(np.zeros((0, 4)), A).shape == (0, 2)
    assert np.isfinite(measure(np.zeros((1, 4)), A)).all()
