"""Options of every command that runs a detector."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uav_perception.inference.detector import Detector
    from uav_perception.inference.tiling import Tiling


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the model and its engine."""
    parser.add_argument("--model", required=True, help="ONNX file")
    parser.add_argument("--contract", help="YAML contract, when the model carries none (docs/models.md)")
    parser.add_argument("--backend", default="onnxruntime", help="inference engine (%(default)s)")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "fp16"), help="of TensorRT (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: the engine chooses (%(default)s)")
    parser.add_argument("--score", type=float, help="lowest score that counts, 0..1 (default: the model's, or 0.3)")
    parser.add_argument("--iou", type=float, help="overlap from which boxes are the same object (the model's, or 0.6)")
    parser.add_argument("--max-detections", type=int, help="objects a picture (default: the model's, or 500)")


def make_detector(args: argparse.Namespace, tiling: Tiling | None = None) -> Detector:
    """The detector that the options describe."""
    from uav_perception.inference.backends import BackendOptions
    from uav_perception.inference.detector import Detector

    return Detector(
        args.model,
        backend=args.backend,
        score_threshold=args.score,
        iou_threshold=args.iou,
        max_detections=args.max_detections,
        tiling=tiling,
        contract_file=args.contract,
        options=BackendOptions(threads=args.threads, precision=args.precision),
    )
