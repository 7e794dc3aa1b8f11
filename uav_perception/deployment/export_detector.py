"""From a detector's checkpoint to the one ONNX file that the detector node runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uav_perception.datasets.detection_loading import MEAN, PAD_TO, STD
from uav_perception.deployment.errors import DeploymentError
from uav_perception.deployment.torch_to_onnx import check_equal, write_onnx
from uav_perception.files import replacing
from uav_perception.inference.contract import ModelContract, write_contract
from uav_perception.networks.decode import DecodeConfig
from uav_perception.networks.detector import Detector
from uav_perception.training.checkpoints import DetectorCheckpoint, read_detector


class ExportedDetector(nn.Module):
    """A detector whose forward pass returns the tensors of the contract, in the order of ``output_names``."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, H, W) normalised RGB to the head's export tensors."""
        return tuple(self.detector.head.export_tensors(self.detector(images).head).values())


def output_names(detector: Detector) -> list[str]:
    """Names of the exported outputs, in order."""
    names = ["class_scores"]
    if detector.head.centerness_output is not None:
        names.append("centerness")
    if detector.config.head == "gfl" or detector.config.distribution:
        return [*names, "distributions"]
    return [*names, "deltas" if detector.config.head == "atss" else "distances"]


def input_size(checkpoint: DetectorCheckpoint, size: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height of the exported input: as asked, else what it was evaluated at, padded to multiples of 32.

    Raises:
        DeploymentError: not a multiple of 32, or not asked for a detector that was evaluated at its images' own sizes.
    """
    if size is None:
        if not all(checkpoint.test_size):
            raise DeploymentError(
                "This detector was evaluated at its images' own size; say the camera's with --size, for example "
                "--size 640x384."
            )
        return tuple(-(-side // PAD_TO) * PAD_TO for side in checkpoint.test_size)
    if any(side < PAD_TO or side % PAD_TO for side in size):
        raise DeploymentError(f"Width and height must be multiples of {PAD_TO}, not {size[0]}x{size[1]}.")
    return size


def make_contract(
    checkpoint: DetectorCheckpoint, name: str, size: tuple[int, int], decode: DecodeConfig
) -> ModelContract:
    """What the exported file says about itself."""
    head = checkpoint.detector.head
    options: dict[str, Any] = head.decoder_options()
    options |= {"iou_threshold": decode.nms_iou, "max_detections": decode.maximum}
    return ModelContract(
        task="detection",
        name=name,
        input_width=size[0],
        input_height=size[1],
        class_names=checkpoint.class_names,
        decoder=head.decoder,
        decoder_options=options,
        color="rgb",
        mean=MEAN,
        std=STD,
        resize="keep_ratio",
        provenance={"made": checkpoint.made, "metrics": _summary(checkpoint.metrics), "recipe": checkpoint.recipe},
    )


def _summary(metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        protocol: {key: values[key] for key in ("AP", "AP50", "AP75") if values.get(key) is not None}
        for protocol, values in metrics.items()
        if isinstance(values, dict)
    }


def export_detector(
    path: str | Path, output: str | Path, name: str | None = None, size: tuple[int, int] | None = None
) -> ModelContract:
    """Export a checkpoint. The file appears only when ONNX Runtime agrees with torch to 1e-3.

    Args:
        path: ``detector.pt`` of a training.
        output: the ONNX file.
        name: of the model; the output's stem when None.
        size: width and height of the input [px], multiples of 32; see :func:`input_size`.

    Returns:
        The contract that was written into the file.

    Raises:
        CheckpointError, DeploymentError: see there.
    """
    checkpoint = read_detector(path)
    width, height = input_size(checkpoint, size)
    decode = DecodeConfig(**checkpoint.recipe.get("inference", {}))
    contract = make_contract(checkpoint, name or Path(output).stem, (width, height), decode)
    module = ExportedDetector(checkpoint.detector)
    example = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 4 - 2
    with replacing(output) as temporary:
        write_onnx(module, (example,), temporary, ["images"], output_names(checkpoint.detector))
        write_contract(temporary, contract)
        check_equal(module, (example,), temporary)
    return contract
