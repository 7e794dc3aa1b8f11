"""Time and memory of every training step, logged beside the losses."""

from __future__ import annotations

import time

import lightning
import psutil
import torch


class StepStatistics(lightning.Callback):
    """Logs ``step_seconds`` (waiting for data included) and ``memory_mib``.

    The memory is the peak that CUDA allocated since the last step, or the process' resident memory on a CPU.
    """

    def __init__(self) -> None:
        self._last: float | None = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Validation and start-up do not count as a step."""
        self._last = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Log the step that has just ended."""
        now = time.perf_counter()
        if self._last is not None:
            pl_module.log("step_seconds", now - self._last)
        self._last = now
        if pl_module.device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(pl_module.device)
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        else:
            memory = psutil.Process().memory_info().rss
        pl_module.log("memory_mib", memory / 2**20)
