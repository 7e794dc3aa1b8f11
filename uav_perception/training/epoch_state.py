"""The state of a run after its last whole epoch, for an exact resume."""

from __future__ import annotations

import os
from pathlib import Path

import lightning


class EpochState(lightning.Callback):
    """Writes one file at the end of each epoch, replacing the last one in one step.

    Args:
        path: the file (weights, optimiser, schedule, random state; loadable with ``weights_only``).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Every process takes part, the first one writes."""
        temporary = self.path.with_name(f".{self.path.stem}.part{self.path.suffix}")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            os.replace(temporary, self.path)
