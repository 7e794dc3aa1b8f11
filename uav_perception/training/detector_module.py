"""The Lightning module of detector training: losses, teacher, optimiser, validation, reproducible resume."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

from uav_perception.datasets.detection_loading import Batch
from uav_perception.datasets.detection_set import DetectionSet
from uav_perception.inference.detections import Detections
from uav_perception.networks.decode import DecodeConfig, decode_batch
from uav_perception.networks.detector import Detector
from uav_perception.training.checkpoints import DetectorCheckpoint, write_detector
from uav_perception.training.detector_testing import PROTOCOLS, measure, to_original
from uav_perception.training.errors import RecipeError
from uav_perception.training.schedule import Schedule, parameter_groups

PRECISIONS = ("32", "32-true", "16-mixed", "bf16-mixed")


@dataclass(frozen=True)
class TrainingConfig:
    """How a detector is trained; the ``training`` section of a recipe. Defaults are mmdet's 1x schedule.

    Attributes:
        epochs: passes over the data.
        batch_size: images a step of one process.
        learning_rate: for ``reference_batch`` images a step over all processes.
        reference_batch: the rate is scaled linearly to the real number of images a step; 0 takes it as it is.
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``.
        weight_decay: of the optimiser.
        bias_rate, bias_decay, norm_decay: factors, see :func:`parameter_groups`.
        warmup, warmup_factor, schedule, drops: see :class:`Schedule`.
        clip: largest gradient norm; 0 does not clip.
        precision: Lightning's name, one of ``PRECISIONS``.
        seed: of weights, order and augmentation.
        validate_every: epochs between validations.
        bfloat16_convolutions: dense convolutions in bfloat16, see :func:`compute_in_bfloat16`.
        channels_last: memory layout; faster for convolutions on CPUs and with AMP.
        threads: of PyTorch on the CPU; 0 leaves the default.
        workers: processes that load data.
    """

    epochs: int = 12
    batch_size: int = 2
    learning_rate: float = 0.01
    reference_batch: int = 16
    optimizer: str = "sgd"
    weight_decay: float = 1e-4
    bias_rate: float = 1.0
    bias_decay: float = 1.0
    norm_decay: float = 1.0
    warmup: int = 500
    warmup_factor: float = 0.001
    schedule: str = "step"
    drops: tuple[int, ...] = (8, 11)
    clip: float = 0.0
    precision: str | int = "32"
    seed: int = 0
    validate_every: int = 1
    bfloat16_convolutions: bool = False
    channels_last: bool = False
    threads: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise RecipeError(f"training.{name} must be at least 1, not {getattr(self, name)}.")
        if str(self.precision) not in PRECISIONS:
            raise RecipeError(f"training.precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}.")
        if self.optimizer not in ("sgd", "adamw"):
            raise RecipeError(f"There is no optimizer {self.optimizer!r}; choose sgd or adamw.")

    def rate(self, world: int) -> float:
        """Learning rate after scaling to the images of one step over ``world`` processes."""
        scale = self.batch_size * world / self.reference_batch if self.reference_batch else 1.0
        return self.learning_rate * scale


@dataclass
class Validation:
    """What validation needs: the annotated images and how to make detections of the network's output.

    Attributes:
        dataset: the validation images.
        decode: constants.
    """

    dataset: DetectionSet
    decode: DecodeConfig = field(default_factory=DecodeConfig)


class DetectorModule(lightning.LightningModule):
    """Trains a detector, optionally beside a teacher.

    After each validation, ``detector.pt`` in the run's folder is the detector as it is now and ``best.pt`` the one with
    the highest COCO AP so far.

    Args:
        detector: the network.
        config: optimiser and schedule.
        training_loader: its batch sampler has ``set_epoch``, as :class:`EpochBatches`.
        validation: images to measure on; None trains without.
        output: folder of the run.
        recipe: kept in the checkpoints.
        test_size: long and short side of evaluation images, kept in the checkpoints.
        distiller: ``distiller(images, output, assignment)`` gives further losses; its parameters are trained too.
    """

    def __init__(
        self,
        detector: Detector,
        config: TrainingConfig,
        training_loader: DataLoader,
        validation: Validation | None,
        output: Path,
        recipe: dict[str, Any],
        class_names: tuple[str, ...],
        test_size: tuple[int, int],
        distiller: nn.Module | None = None,
    ):
        super().__init__()
        self.detector, self.distiller, self.config, self.validation = detector, distiller, config, validation
        self.output, self.recipe, self.class_names, self.test_size = Path(output), recipe, class_names, test_size
        self.training_loader = training_loader
        self.metrics: dict[str, Any] = {}
        self.best = -1.0
        self._found: dict[int, Detections] = {}

    # -- training ----------------------------------------------------------------------------------------------------

    def configure_optimizers(self):
        """SGD or AdamW over the student and what the distiller trains, with the schedule applied each step."""
        config, world = self.config, self.trainer.world_size
        rate = config.rate(world)
        trained = nn.ModuleList([self.detector] + ([self.distiller] if self.distiller is not None else []))
        groups = parameter_groups(
            trained, rate, config.weight_decay, config.bias_rate, config.bias_decay, config.norm_decay
        )
        if config.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9)
        else:
            optimizer = torch.optim.AdamW(groups, lr=rate)
        schedule = Schedule(
            config.epochs,
            len(self.training_loader),
            config.warmup,
            config.warmup_factor,
            config.schedule,
            config.drops,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def forward(self, images: Tensor, keep_stages: bool = False):
        """The detector's forward pass."""
        if self.config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.detector(images, keep_stages)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """All losses of a batch, the teacher's included, as scalars to be summed."""
        keep = bool(getattr(self.distiller, "keep_stages", False))
        output = self(batch.images, keep)
        head = self.detector.head
        with torch.autocast(self.device.type, enabled=False):
            assignment = head.assign(output.head.grid, list(batch.targets))
            losses = head.losses(output.head, assignment)
        if self.distiller is not None:
            losses |= self.distiller(batch.images, output, assignment)
        return losses

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum of the losses; each is logged."""
        losses = self.losses(batch)
        total = sum(losses.values())
        if not torch.isfinite(total):
            values = ", ".join(f"{name} {value.item():.4g}" for name, value in losses.items())
            raise RecipeError(
                f"The loss is not finite at step {self.global_step} ({values}); lower training.learning_rate "
                "or set training.clip."
            )
        self.log("loss", total.detach(), prog_bar=True)
        self.log_dict({name: value.detach() for name, value in losses.items()})
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        return total

    # -- validation --------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Detect on a batch; boxes go back to pixels of the original images."""
        self._found |= detect(self, batch, self.validation)

    def on_validation_epoch_end(self) -> None:
        """Measure by both protocols, log, and write the detector."""
        found, self._found = _gather(self._found), {}
        if self.trainer.sanity_checking or not self.trainer.is_global_zero:
            return
        self.metrics = measure(found, self.validation.dataset, self.class_names)
        for name in ("AP", "AP50", "AP75", "AP_small"):
            value = self.metrics["coco"].get(name)
            if value is not None:
                self.log(f"val_{name}", value, prog_bar=name == "AP50", rank_zero_only=True)
        print(self.summary(), flush=True)
        self.write(self.output / "detector.pt")
        if (self.metrics["coco"]["AP"] or 0.0) > self.best:
            self.best = self.metrics["coco"]["AP"] or 0.0
            self.write(self.output / "best.pt")

    def summary(self) -> str:
        """The last validation in one line, all protocols."""
        parts = []
        for protocol in PROTOCOLS:
            if protocol not in self.metrics:
                continue
            values = self.metrics[protocol]
            shown = " ".join(f"{k} {values[k]:.3f}" for k in ("AP", "AP50", "AP75") if values.get(k) is not None)
            parts.append(f"{protocol}: {shown}")
        return f"epoch {self.current_epoch}, step {self.global_step}: " + "; ".join(parts)

    def write(self, path: Path) -> None:
        """Write the detector with its last metrics."""
        write_detector(
            path,
            DetectorCheckpoint(self.detector, self.class_names, self.test_size, self.recipe, self.metrics),
        )

    # -- what is seen when, after a resume too ------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader:
        """The loader, set to the epoch that is to come: workers begin to load as soon as Lightning has it."""
        self.on_train_epoch_start()
        return self.training_loader

    def on_train_epoch_start(self) -> None:
        """Set the epoch of the order and the augmentation: Lightning does that for samplers, not for batch samplers."""
        # Not current_epoch: while a state is being restored, that is still the last epoch's.
        self.training_loader.batch_sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """A step's random draws (masks of a distiller) belong to (seed, step, process), whatever came before."""
        sequence = np.random.SeedSequence((self.config.seed, self.global_step, self.global_rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the last validation and the best result."""
        checkpoint["metrics"], checkpoint["best_ap"] = self.metrics, self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take both back."""
        self.metrics, self.best = checkpoint.get("metrics", {}), checkpoint["best_ap"]

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning does not look into frozen dataclasses."""
        return batch.to(device)


def detect(module: DetectorModule, batch: Batch, validation: Validation) -> dict[int, Detections]:
    """Detections of a batch by image index, in pixels of the original images."""
    if not batch.indices:
        return {}
    output = module(batch.images)
    sizes = [(target.height, target.width) for target in batch.targets]
    found = {}
    for index, size, detections in zip(
        batch.indices, sizes, decode_batch(module.detector, output, sizes, validation.decode), strict=True
    ):
        truth = validation.dataset.images[index].truth
        found[index] = to_original(detections, size, (truth.height, truth.width))
    return found


def _gather(found: dict[int, Detections]) -> dict[int, Detections]:
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return found
    parts: list[dict[int, Detections]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, found)
    return {index: detections for part in parts for index, detections in part.items()}
