"""Training of action networks: `run_training` is what `uav-perception train action` calls.

Every random draw belongs to (seed, epoch, clip) or (seed, step), and a checkpoint is written after each epoch in one
step. So a run that was killed goes on to the same result, and several processes see what one would.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from uav_perception.datasets.action_clips import PROTOCOLS, ShardedBatches, TestClips, TrainingClips
from uav_perception.datasets.frame_source import FrameSource
from uav_perception.datasets.workers import single_threaded
from uav_perception.files import replacing, write_json, write_text
from uav_perception.networks import action_zoo
from uav_perception.provenance import provenance
from uav_perception.training.action_data import open_source, videos_of
from uav_perception.training.action_model import (
    FORMAT,
    META_KEY,
    ActionModel,
    load_action_checkpoint,
    model_of,
    normalise,
)
from uav_perception.training.action_recipe import ActionRecipe, OptimizerRecipe, StreamRecipe
from uav_perception.training.action_teacher import teacher_logits
from uav_perception.training.action_testing import accuracy_of, confusion_matrix, draw_confusion, predict, report_of
from uav_perception.training.checked import checked
from uav_perception.training.errors import CheckpointError

LAST = "last.ckpt"
_log = logging.getLogger(__name__)


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or absent, and that load with ``weights_only``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside ``path``, then rename."""
        with replacing(path) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read plain types and tensors only."""
        return torch.load(path, map_location=map_location, weights_only=True)


def freeze_batch_norm(network: nn.Module, which: str) -> None:
    """Put batch norms into eval mode and stop their training: "none", "partial" (all but the first) or "all"."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for module in {"none": [], "partial": norms[1:], "all": norms}[which]:
        module.eval()
        module.requires_grad_(False)


def parameter_groups(network: nn.Module, recipe: OptimizerRecipe, classifier: str) -> list[dict[str, Any]]:
    """The backbone with its own rate, and the rest, a TSN's classifier too. Networks without a backbone: one group."""
    groups: list[dict[str, Any]] = [
        {"params": [], "lr": recipe.rate},
        {"params": [], "lr": recipe.rate * recipe.backbone_rate_scale},
    ]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            of_backbone = name.startswith("backbone.") and not name.startswith(f"{classifier}.")
            groups[of_backbone]["params"].append(parameter)
    return [group for group in groups if group["params"]]


def rate_factor(recipe: OptimizerRecipe) -> Callable[[float], float]:
    """The learning rate's factor as a function of the done share of the run, 0 to 1."""

    def constant(_done: float) -> float:
        return 1.0

    def cosine(done: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def one_cycle(done: float) -> float:
        if done < recipe.warmup:
            return 0.04 + 0.96 * done / recipe.warmup
        return max(cosine((done - recipe.warmup) / max(1 - recipe.warmup, 1e-9)), 1e-3)

    def steps(done: float) -> float:
        return 0.1 ** sum(done >= milestone for milestone in recipe.milestones)

    return {"constant": constant, "cosine": cosine, "one_cycle": one_cycle, "steps": steps}[recipe.schedule]


class ActionTraining(lightning.LightningModule):
    """One run on one split.

    Args:
        recipe: the run.
        model: what is trained.
        network: the module itself, with its starting weights.
        train: training frames.
        test: test frames.
        teacher: (len(train), C) logits, or None.
    """

    def __init__(
        self,
        recipe: ActionRecipe,
        model: ActionModel,
        network: nn.Module,
        train: FrameSource,
        test: FrameSource,
        teacher: Tensor | None,
    ) -> None:
        super().__init__()
        self.recipe, self.model, self.network = recipe, model, network
        self.train_source, self.test_source = train, test
        # Not a parameter of the network: kept out of checkpoints, moved with the batch.
        self.teacher = teacher
        self.last_confusion: Tensor | None = None
        self._epoch_began = time.monotonic()
        self.epoch_metrics: dict[str, float] = {}
        self._totals = torch.zeros(3, dtype=torch.float64)  # loss, right answers, clips of the epoch

    def train_dataloader(self) -> DataLoader:
        """This process's share of the current epoch."""
        run = self.recipe.training
        clips = TrainingClips(
            self.train_source, self.model.feed, self.recipe.augmentation, run.seed, self.recipe.data.window
        )
        batches = ShardedBatches(len(clips), run.batch, run.seed, self.global_rank, self.trainer.world_size)
        batches.set_epoch(self.current_epoch)
        return DataLoader(
            clips,
            batch_sampler=batches,
            num_workers=run.workers,
            worker_init_fn=single_threaded,
            pin_memory=torch.cuda.is_available(),
        )

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam as published, or what the recipe says; the schedule moves every step."""
        recipe = self.recipe.optimizer
        kinds = {
            "adam": lambda groups: torch.optim.Adam(groups, weight_decay=recipe.weight_decay),
            "adamw": lambda groups: torch.optim.AdamW(groups, weight_decay=recipe.weight_decay),
            "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.9, weight_decay=recipe.weight_decay),
        }
        optimizer = kinds[recipe.name](
            parameter_groups(self.network, recipe, action_zoo.classifier_of(self.model.name))
        )
        steps = len(ShardedBatches(len(self.train_source), self.recipe.training.batch, 0)) * self.recipe.training.epochs
        factor = rate_factor(recipe)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Frozen batch norms stay frozen: Lightning has just put everything into train mode."""
        freeze_batch_norm(self.network, self.recipe.training.frozen_bn)
        self._totals.zero_()
        self._epoch_began = time.monotonic()

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Dropout's draws belong to (seed, step, process), whatever came before."""
        sequence = np.random.SeedSequence((self.recipe.training.seed, self.global_step, self.global_rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Mean loss over the clips of all processes. DDP averages gradients, hence the factor of the world's size."""
        clips = normalise(batch["clip"], self.model.feed)
        labels = batch["label"]
        teacher = self.teacher[batch["index"].cpu()].to(clips.device) if self.teacher is not None else None
        if self.model.options.get("causal"):
            logits = self.network.prefix_logits(clips).float()  # losses and sums in float32, whatever the precision
            losses = torch.stack([self.recipe.loss(step, labels, teacher) for step in logits.unbind(1)]).mean(0)
            logits = logits[:, -1]
        else:
            logits = self.network(clips).float()
            losses = self.recipe.loss(logits, labels, teacher)
        weights = batch["weight"].to(losses)
        count = min(self.recipe.training.batch, len(self.train_source) - batch_idx * self.recipe.training.batch)
        loss = (losses * weights).sum() * self.trainer.world_size / count
        right = (logits.argmax(-1) == labels) * weights
        self._totals += torch.stack([(losses * weights).sum(), right.sum(), weights.sum()]).detach().double().cpu()
        return loss

    def confusion(self, protocol: str = "centre", progress: str | None = None) -> Tensor:
        """Confusion matrix on the test part; the processes share the videos."""
        clips = TestClips(self.test_source, self.model.feed, PROTOCOLS[protocol], self.recipe.data.window)
        mine = range(self.global_rank, len(clips), self.trainer.world_size)
        classes = len(self.model.class_names)
        counts = torch.zeros(classes, classes, dtype=torch.int64)
        if mine:  # more processes than videos leave some without
            logits, labels = predict(self.network, clips, self.recipe.training.batch, 0, progress, mine)
            counts = confusion_matrix(labels, logits.argmax(1), classes)
        return self._sum_of_processes(counts)

    def _sum_of_processes(self, values: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(values.to(self.device), reduce_op="sum").cpu()

    def on_train_epoch_end(self) -> None:
        """Test where the recipe says so, then save."""
        loss, right, clips = self._sum_of_processes(self._totals).tolist()
        self.epoch_metrics = {"train_loss": loss / clips, "train_top1": right / clips}
        every = self.recipe.training.validate_every
        done = self.current_epoch + 1
        if every and done % every == 0:
            self.epoch_metrics |= {f"test_{name}": value for name, value in accuracy_of(self.confusion()).items()}
        self.epoch_metrics["epoch_seconds"] = time.monotonic() - self._epoch_began
        self.log_dict(self.epoch_metrics, prog_bar=True)

    def on_fit_end(self) -> None:
        """The headline test, with all processes still there. Lightning has moved the network to the CPU already."""
        self.to(self.trainer.strategy.root_device)
        self.last_confusion = self.confusion(self.recipe.training.protocol, "Testing")
        self.cpu()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What it takes to use the network without the recipe."""
        checkpoint["format"] = FORMAT
        checkpoint[META_KEY] = self.model.to_plain()


class SaveEveryEpoch(lightning.pytorch.callbacks.ModelCheckpoint):
    """``last.ckpt`` after every epoch, replaced in one step, and ``curve.csv``, the metrics of every epoch.

    The curve is part of the checkpoint, so a run that goes on continues it where it stopped.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True)
        self._folder = folder
        self._rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: ActionTraining) -> None:
        """Add a row to the curve, then save."""
        self._rows.append({"epoch": trainer.current_epoch} | pl_module.epoch_metrics)
        if trainer.is_global_zero:
            write_text(self._folder / "curve.csv", _as_csv(self._rows))
        super().on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The curve so far, besides what Lightning keeps."""
        return super().state_dict() | {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the curve of the checkpoint."""
        self._rows = [dict(row) for row in state_dict["rows"]]
        super().load_state_dict(state_dict)


def _as_csv(rows: list[dict[str, float]]) -> str:
    """Rows as CSV; a column for every name that occurs, empty where a row has none."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = [[f"{row[name]:.6g}" if name in row else "" for name in columns] for row in rows]
    return "\n".join(",".join(line) for line in [columns, *table]) + "\n"


def _processes() -> tuple[int, int]:
    """Processes on this machine and number of machines: torchrun's variables, else one of each."""
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return local, max(world // local, 1)


def _trainer(recipe: ActionRecipe, folder: Path) -> lightning.Trainer:
    local, machines = _processes()
    logger = TensorBoardLogger(folder, name="", version="tensorboard") if recipe.training.tensorboard else False
    return lightning.Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=local,
        num_nodes=machines,
        strategy="ddp" if local * machines > 1 else "auto",
        precision=recipe.training.precision,
        max_epochs=recipe.training.epochs,
        gradient_clip_val=recipe.optimizer.clip_norm or None,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        logger=logger,
        callbacks=[SaveEveryEpoch(folder), TQDMProgressBar(refresh_rate=10)],
        plugins=[AtomicCheckpoints()],
        enable_model_summary=False,
    )


def _start_network(recipe: ActionRecipe, model: ActionModel) -> nn.Module:
    torch.manual_seed(recipe.training.seed)
    network = model.build()
    if recipe.network.weights is not None:
        fresh = action_zoo.load_weights(network, model.name, recipe.network.weights)
        _log.info("%s starts from %s; %d tensors are new", model.name, recipe.network.weights, len(fresh))
    freeze_batch_norm(network, recipe.training.frozen_bn)  # before DDP looks at what is trained
    if recipe.training.channels_last:
        network = network.to(memory_format=torch.channels_last)
    return network


def _check_resumed(checkpoint: Path, model: ActionModel) -> None:
    """Refuse to go on with a checkpoint of another network, other classes or another input."""
    _, kept = load_action_checkpoint(checkpoint)
    wanted, found = model.to_plain(), kept.to_plain()
    changed = [key for key in wanted if wanted[key] != found[key]]
    if changed:
        raise CheckpointError(
            f"{checkpoint} is of a run with {changed[0]} {found[changed[0]]}, not {wanted[changed[0]]}: "
            "resume with its recipe, or choose another --output."
        )


def train_split(recipe: ActionRecipe, folder: Path, split: int | None, resume: bool) -> dict[str, Any]:
    """Train and test on one split.

    Args:
        recipe: the run.
        folder: for checkpoint, logs, ``result.json`` and ``confusion.png``.
        split: of the data set; None where it has none.
        resume: go on from ``last.ckpt`` when it is there.

    Returns:
        The test's report.
    """
    checkpoint = folder / LAST
    if checkpoint.is_file() and not resume:
        raise CheckpointError(f"{checkpoint} is there already: add --resume, or choose another --output.")
    window = recipe.data.window.seconds if recipe.data.window else 0.0
    train_videos, test_videos = videos_of(recipe.data, "train", split), videos_of(recipe.data, "test", split)
    model = model_of(recipe.network, train_videos.class_names, window)
    if checkpoint.is_file():
        _check_resumed(checkpoint, model)
    train = open_source(train_videos, recipe.data, model.feed)
    test = open_source(test_videos, recipe.data, model.feed)
    teacher = None
    if recipe.loss.distillation > 0:
        streams = [
            StreamRecipe(stream.checkpoint.format(split=split if split is not None else ""), stream.weight)
            for stream in recipe.teacher
        ]
        teacher = teacher_logits(streams, train, recipe.data, recipe.training.workers)
    network = _start_network(recipe, model)
    trainer = _trainer(recipe, folder)
    module = ActionTraining(recipe, model, network, train, test, teacher)
    began = time.monotonic()
    trainer.fit(module, ckpt_path=checkpoint if checkpoint.is_file() else None, weights_only=True)
    report = report_of(module.last_confusion, model.class_names)
    report |= {
        "network": model.name,
        "split": split,
        "protocol": recipe.training.protocol,
        "train_clips": len(train),
        "skipped": len(train.skipped) + len(test.skipped),
        "epochs": recipe.training.epochs,
        "seconds": round(time.monotonic() - began, 1),
        "recipe": _plain(recipe),
    }
    if trainer.is_global_zero:
        write_json(folder / "result.json", report | {"provenance": provenance(recipe.training.seed)})
        draw_confusion(module.last_confusion, model.class_names, folder / "confusion.png")
    return report


def _plain(recipe: ActionRecipe) -> dict[str, Any]:
    """A recipe as JSON gives it back."""
    return json.loads(json.dumps(asdict(recipe)))


def _finished(recipe: ActionRecipe, folder: Path) -> dict[str, Any] | None:
    """The report of a split that was trained and tested to the end with this very recipe, else None."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    return report if report.get("recipe") == _plain(recipe) else None


def run_training(values: dict[str, Any], output: str | Path, resume: bool = False) -> int:
    """Train what a recipe says, on every split it names, and write ``summary.json`` with the mean top-1.

    Args:
        values: the recipe, bases and overrides merged.
        output: folder of the run; several splits get folders ``split1`` ... in it.
        resume: go on where a run stopped; splits finished with the same recipe are not repeated.

    Returns:
        0.
    """
    recipe = checked(ActionRecipe, values)
    output = Path(output)
    splits: tuple[int | None, ...] = recipe.data.splits or (None,)
    reports = []
    for split in splits:
        folder = output if split is None else output / f"split{split}"
        done = _finished(recipe, folder) if resume else None
        reports.append(done or train_split(recipe, folder, split, resume))
        print(f"{recipe.title or recipe.network.name}, split {split}: top-1 {reports[-1]['top1']:.4f}")
    tops = [report["top1"] for report in reports]
    summary = {
        "title": recipe.title or recipe.network.name,
        "top1": float(np.mean(tops)),
        "mean_class": float(np.mean([report["mean_class"] for report in reports])),
        "splits": {str(report["split"]): report["top1"] for report in reports},
        "published": recipe.published,
        "provenance": provenance(recipe.training.seed),
    }
    if int(os.environ.get("RANK", 0)) == 0:
        write_json(output / "summary.json", summary)
        print(
            f"{summary['title']}: top-1 {summary['top1']:.4f} over {len(tops)} split(s), in {output / 'summary.json'}"
        )
    return 0
