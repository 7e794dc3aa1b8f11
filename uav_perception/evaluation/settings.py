"""What an evaluation was asked to do."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from uav_perception import __version__
from uav_perception.evaluation.errors import EvaluationError

ACTION_SCOPES = ("frame", "track", "both")
DEFAULT_SCORE_THRESHOLD = 0.01
"""AP is an area under a curve over all scores; a node's usual threshold would cut the curve off."""


@dataclass(frozen=True)
class Settings:
    """How recordings are judged. Equal settings, models and recordings give equal numbers.

    Attributes:
        model: path of the detection model, or None.
        action_model: path of the action model, or None.
        backend: inference engine.
        threads: CPU threads of one inference; 0 lets the engine choose.
        score_threshold: detections below are dropped.
        track: follow objects through recordings that are in time order.
        action_scope: who is judged by the action model, one of :data:`ACTION_SCOPES`.
        actor_classes: the detector's classes that act; empty for all.
        every: process each n-th image only.
        start_s: skip images before, after the first one [s].
        end_s: skip images from here on [s], or None.
        limit: process at most so many images, or None.
        image_topic: topic of the images in a bag, or None for the only one.
        truth: files or folders of truth; none for truth in the recording itself.
        split: of an action data set, from 1.
        part: of a data set, "test", "train" or "val".
        truth_format: of the files, or None to tell from their content.
        truth_topic: topic of truth in a bag, or None for all under ``/ground_truth/``.
        tolerance_ms: how far the stamps of an image and of its truth may differ.
        class_map: pairs of a truth's class name and the model's.
    """

    model: str | None = None
    action_model: str | None = None
    backend: str = "onnxruntime"
    threads: int = 0
    score_threshold: float = DEFAULT_SCORE_THRESHOLD
    track: bool = True
    action_scope: str = "frame"
    actor_classes: tuple[str, ...] = ("person", "pedestrian", "people")
    every: int = 1
    start_s: float = 0.0
    end_s: float | None = None
    limit: int | None = None
    image_topic: str | None = None
    truth: tuple[str, ...] = ()
    split: int = 1
    part: str = "test"
    truth_format: str | None = None
    truth_topic: str | None = None
    tolerance_ms: float = 1.0
    class_map: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.model is None and self.action_model is None:
            raise EvaluationError("There is nothing to evaluate: give --model, --action-model, or both.")
        if self.action_scope not in ACTION_SCOPES:
            raise EvaluationError(f"Unknown action scope {self.action_scope!r}; known are {', '.join(ACTION_SCOPES)}.")
        if self.action_model is not None and self.action_scope != "frame" and (self.model is None or not self.track):
            raise EvaluationError(
                f"--action-scope {self.action_scope} needs tracks: give --model and leave tracking on."
            )
        if self.every < 1:
            raise EvaluationError(f"--every must be 1 or more, not {self.every}.")
        if not 0 <= self.score_threshold <= 1:
            raise EvaluationError(f"--score-threshold must lie in 0..1, not {self.score_threshold}.")
        if not 0 <= self.tolerance_ms < math.inf:
            raise EvaluationError(f"--truth-tolerance-ms must be 0 or more, not {self.tolerance_ms}.")
        if not math.isfinite(self.start_s) or not (self.end_s is None or math.isfinite(self.end_s)):
            raise EvaluationError(f"--start and --end are times in seconds, not {self.start_s} and {self.end_s}.")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise EvaluationError(f"--end {self.end_s} s must lie after --start {self.start_s} s.")
        if self.limit is not None and self.limit < 1:
            raise EvaluationError(f"--limit must be 1 or more, not {self.limit}.")

    def public(self) -> dict[str, object]:
        """What a report says about them: names instead of paths, and only what changes numbers."""
        shown = asdict(self)
        for name in ("model", "action_model"):
            shown[name] = Path(shown[name]).name if shown[name] else None
        shown["truth"] = [Path(path).name for path in self.truth]
        shown["class_map"] = dict(self.class_map)
        shown["actor_classes"] = list(self.actor_classes)
        del shown["threads"]
        return shown


def model_files(settings: Settings) -> list[Path]:
    """The models and, where there are some, the contracts beside them."""
    models = [Path(path) for path in (settings.model, settings.action_model) if path is not None]
    return models + [path.with_suffix(".yaml") for path in models if path.with_suffix(".yaml").exists()]


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files."""
    path = Path(path)
    digest = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        digest.update(part.name.encode())
        with part.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def fingerprint(settings: Settings, recording: str | Path, part: tuple[int, int] | None = None) -> str:
    """Names everything that a record depends on; equal for equal models, truth, settings, recording and version.

    A recording is told by its place, size and times of change, since hashing a hundred gigabytes would take longer
    than evaluating them.
    """
    recording = Path(recording)
    truth = [Path(path) for path in settings.truth]
    truth += [path.with_name(path.name.replace("gt_whole", "gt_ignore")) for path in truth if "gt_whole" in path.name]
    files = sorted(p for p in recording.rglob("*") if p.is_file()) if recording.is_dir() else [recording]
    content = {
        "version": __version__,
        "settings": asdict(settings),
        "digests": [file_digest(path) for path in (*model_files(settings), *truth) if path.exists()],
        "recording": [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files if p.exists()],
        "part": part,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
