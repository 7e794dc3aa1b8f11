"""`uav-perception train detector`: from a recipe to a trained detector."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from uav_perception.datasets.detection_loading import EpochBatches, ImageStore, TestImages, TrainingImages, collate
from uav_perception.datasets.detection_set import DetectionSet
from uav_perception.datasets.detection_sources import open_detection_set
from uav_perception.datasets.detection_transforms import Augmentation
from uav_perception.datasets.workers import single_threaded
from uav_perception.files import write_json, write_text
from uav_perception.networks.decode import DecodeConfig
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.provenance import provenance
from uav_perception.training.bfloat16 import compute_in_bfloat16
from uav_perception.training.checkpoints import load_detector
from uav_perception.training.detector_module import DetectorModule, TrainingConfig, Validation
from uav_perception.training.epoch_state import EpochState
from uav_perception.training.errors import RecipeError
from uav_perception.training.recipes import Recipe, load_recipe, merge, section
from uav_perception.training.step_statistics import StepStatistics

_log = logging.getLogger(__name__)
_SECTIONS = {"model", "initial", "data", "augmentation", "training", "inference", "distillation", "teacher"}


@dataclass(frozen=True)
class DataConfig:
    """The ``data`` section of a recipe.

    Attributes:
        train, val: descriptions for :func:`open_detection_set`; ``val`` may be missing.
        test_long_side, test_short_side: keep-ratio limits of evaluation images [px]; 0 keeps their size.
        test_batch: images an evaluation step.
        in_memory: keep the encoded images in memory.
        repeats: how often an epoch visits each training image.
    """

    train: dict[str, Any]
    val: dict[str, Any] | None = None
    test_long_side: int = 1333
    test_short_side: int = 800
    test_batch: int = 1
    in_memory: bool = False
    repeats: int = 1

    def __post_init__(self) -> None:
        limits = (self.test_long_side, self.test_short_side)
        if min(limits) < 0 or (0 in limits and any(limits)):
            raise RecipeError(
                f"data.test_long_side and data.test_short_side are {limits}; they must both be above 0, or both 0 for "
                "the images' own size."
            )
        if self.test_batch < 1 or self.repeats < 1:
            raise RecipeError(f"data.test_batch {self.test_batch} and data.repeats {self.repeats} must be at least 1.")


@dataclass(frozen=True)
class TeacherConfig:
    """The ``teacher`` section of a recipe: its checkpoint, as training wrote it."""

    checkpoint: str = ""
    config: str = ""


@dataclass(frozen=True)
class InitialConfig:
    """The ``initial`` section of a recipe: a trained detector to start from, for fine-tuning on other data."""

    checkpoint: str = ""


@dataclass
class DetectorTraining:
    """Everything a recipe describes, built and ready to run."""

    module: DetectorModule
    validation_loader: DataLoader | None
    config: TrainingConfig


def processes() -> tuple[int, int, int]:
    """Rank, number of processes and number on this machine, as torchrun sets them; (0, 1, 1) without it."""
    get = os.environ.get
    return int(get("RANK", 0)), int(get("WORLD_SIZE", 1)), int(get("LOCAL_WORLD_SIZE", 1))


def build(recipe: Recipe, output: Path) -> DetectorTraining:
    """Build data, network, teacher and module.

    Raises:
        RecipeError, DatasetError, NetworkError, CheckpointError: what is wrong in the recipe or the files it names.
    """
    unknown = sorted(set(recipe) - _SECTIONS)
    if unknown:
        raise RecipeError(f"Unknown sections {', '.join(unknown)}; known are {', '.join(sorted(_SECTIONS))}.")
    config, data = section(recipe, "training", TrainingConfig), section(recipe, "data", DataConfig)
    rank, world, _ = processes()
    train = open_detection_set(data.train)
    store = ImageStore(train, data.in_memory)
    augmentation = section(recipe, "augmentation", Augmentation)
    portrait = np.array([image.truth.height > image.truth.width for image in train.images])
    training_loader = DataLoader(
        TrainingImages(store, augmentation, config.seed),
        batch_sampler=EpochBatches(portrait, config.batch_size, config.seed, data.repeats, rank, world),
        num_workers=config.workers,
        worker_init_fn=single_threaded,
        collate_fn=collate,
        persistent_workers=config.workers > 0,
    )
    validation, validation_loader = None, None
    if data.val is not None:
        validation, validation_loader = _validation(recipe, data, config, train, rank, world)
    lightning.seed_everything(config.seed, verbose=False)
    classes = len(train.class_names)
    model = section(
        merge({"model": {"num_classes": classes}}, {"model": recipe.get("model", {})}), "model", DetectorConfig
    )
    if model.num_classes != classes:
        raise RecipeError(f"model.num_classes is {model.num_classes}, but the data have {classes} classes.")
    detector = Detector(model)
    initial = section(recipe, "initial", InitialConfig)
    if initial.checkpoint:
        copied = start_from(detector, load_detector(initial.checkpoint))
        _log.info("The detector starts with %d tensors of %s.", copied, initial.checkpoint)
    if config.bfloat16_convolutions:
        compute_in_bfloat16(detector)
    module = DetectorModule(
        detector,
        config,
        training_loader,
        validation,
        output,
        recipe,
        train.class_names,
        (data.test_long_side, data.test_short_side),
        _distiller(recipe, detector),
    )
    return DetectorTraining(module, validation_loader, config)


def _validation(recipe, data: DataConfig, config: TrainingConfig, train: DetectionSet, rank: int, world: int):
    dataset = open_detection_set(data.val)
    if dataset.class_names != train.class_names:
        raise RecipeError(
            f"The validation set's classes {', '.join(dataset.class_names)} are not the training set's "
            f"{', '.join(train.class_names)}."
        )
    images = TestImages(ImageStore(dataset, data.in_memory), data.test_long_side, data.test_short_side)
    mine = list(range(rank, len(images), world))
    loader = DataLoader(
        images,
        batch_size=data.test_batch,
        sampler=mine,
        num_workers=config.workers,
        worker_init_fn=single_threaded,
        collate_fn=collate,
    )
    return Validation(dataset, section(recipe, "inference", DecodeConfig)), loader


def start_from(detector: Detector, trained: Detector) -> int:
    """Copy every tensor of a trained detector whose name and shape match, whatever its classes or levels.

    Returns:
        How many were copied.

    Raises:
        RecipeError: none fits.
    """
    own, other = detector.state_dict(), trained.state_dict()
    fitting = {name: value for name, value in other.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise RecipeError("The initial checkpoint has no tensor in common with the recipe's model.")
    detector.load_state_dict(fitting, strict=False)
    return len(fitting)


def _distiller(recipe: Recipe, student: Detector):
    """The distiller that the recipe asks for, or None."""
    options = recipe.get("distillation")
    if not options:
        return None
    from uav_perception.distillation.distiller import Distiller, build_method, inherit_from_teacher

    teacher_config = section(recipe, "teacher", TeacherConfig)
    if not teacher_config.checkpoint:
        hint = f" (train it first with the recipe {teacher_config.config})" if teacher_config.config else ""
        raise RecipeError(f"Distillation needs a trained teacher; set teacher.checkpoint=FILE{hint}.")
    teacher = load_detector(teacher_config.checkpoint)
    method = build_method(options, student, teacher)
    if options.get("inherit"):
        copied = inherit_from_teacher(student, teacher)
        _log.info("The student inherits %d tensors of the teacher's neck and head.", len(copied))
    return Distiller(teacher, method, student.head)


def _check_resumed(path: Path, recipe: Recipe) -> None:
    """Refuse to go on with the state of another network or another method of distillation."""
    kept = load_recipe(path)
    changed = [name for name in ("model", "distillation") if kept.get(name) != recipe.get(name)]
    if changed:
        raise RecipeError(
            f"{path.parent} is a run with another {changed[0]} section: resume with its own recipe, {path}, or choose "
            "another --output."
        )


def _keep_log(log: Path) -> None:
    """Move the log of an interrupted run aside, to ``metrics_1.csv`` and so on: Lightning would begin it anew."""
    if log.is_file():
        earlier = len(list(log.parent.glob(f"{log.stem}_*{log.suffix}")))
        log.rename(log.with_stem(f"{log.stem}_{earlier + 1}"))


def run_training(recipe: Recipe, output: Path, resume: bool = False) -> int:
    """Train. The folder gets the recipe, logs (CSV and TensorBoard), the training state and the detectors.

    Args:
        recipe: as loaded.
        output: folder of the run.
        resume: go on exactly where the last epoch of an interrupted run ended.

    Raises:
        RecipeError: the folder holds a run and ``resume`` is not set, there is nothing to resume, or it is another run.
    """
    output = Path(output)
    state = output / "state" / "last.ckpt"
    if resume and not state.is_file():
        raise RecipeError(f"There is nothing to resume: {state} does not exist.")
    if resume:
        _check_resumed(output / "recipe.yaml", recipe)
    if state.is_file() and not resume:
        raise RecipeError(f"{output} already holds a run; add --resume to go on, or choose another --output.")
    training = build(recipe, output)
    config, (rank, world, local) = training.config, processes()
    if rank == 0:
        _keep_log(output / "logs" / "metrics.csv")
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.channels_last:
        training.module.to(memory_format=torch.channels_last)
    if rank == 0:
        write_text(output / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
        write_json(output / "run.json", provenance(seed=config.seed))
    trainer = lightning.Trainer(
        max_epochs=config.epochs,
        accelerator="auto" if torch.cuda.is_available() else "cpu",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=str(config.precision),
        gradient_clip_val=config.clip or None,
        check_val_every_n_epoch=config.validate_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=min(10, len(training.module.training_loader)),
        default_root_dir=output,
        logger=[CSVLogger(output, name="logs", version=""), TensorBoardLogger(output, name="tensorboard", version="")],
        callbacks=[StepStatistics(), EpochState(state)],
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Experiment logs directory .* exists")  # see _keep_log
        # Lightning advises more workers or a shorter logging interval; both are the recipe's decision.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*number of training batches.*")
        trainer.fit(
            training.module,
            val_dataloaders=training.validation_loader,
            ckpt_path=state if resume else None,
            weights_only=True,
        )
    if trainer.is_global_zero:
        training.module.write(output / "detector.pt")
        if training.module.metrics:
            write_json(output / "metrics.json", training.module.metrics | {"made": provenance(seed=config.seed)})
    return 0
