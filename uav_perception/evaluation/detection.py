"""Detection metrics in one place: what an image holds, and the two protocols that are always reported side by side."""

from uav_perception.evaluation.coco import coco_metrics, evaluate_coco
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.uavdt import uavdt_metrics
from uav_perception.evaluation.visdrone import visdrone_metrics

__all__ = ["ImageTruth", "coco_metrics", "evaluate_coco", "uavdt_metrics", "visdrone_metrics"]
