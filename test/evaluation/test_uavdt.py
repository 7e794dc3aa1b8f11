import pytest

from uav_perception.evaluation.detection import ImageTruth, coco_metrics, uavdt_metrics
from uav_perception.inference.detections import Detections


def test_detections_in_ignore_areas_do_not_count():
    truth = ImageTruth([[0, 0, 20, 20]], [0], ignore_regions=[[100, 100, 200, 200]], width=300, height=300)
    found = Detections([[120, 120, 140, 140], [0, 0, 20, 20]], [0.9, 0.8], [0, 0])
    assert coco_metrics([truth], [found], ["car"])["AP"] == pytest.approx(0.5)
    assert uavdt_metrics([truth], [found], ["car"])["AP"] == pytest.approx(1.0)
