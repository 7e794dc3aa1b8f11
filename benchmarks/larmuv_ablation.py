"""Table III on simulated clips: five models, several seeds, mean and spread.

    uav-perception simulate actions data/actions --clips 1401 --seed 1
    python benchmarks/larmuv_ablation.py --root data/actions --start runs/larmuv_sim_stage1/last.ckpt

All arms start from the same warmed backbone (``--start``, a checkpoint trained without transformer: from nothing,
LARMUV does not leave chance within the epochs that a benchmark can spend) and see the same clips in the same order.
The teacher is a ResNet-50 (TSN) trained on the training clips first. A run that is done is not repeated, one that was
killed goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from uav_perception.files import write_json
from uav_perception.provenance import provenance
from uav_perception.training.action import run_training

# Table III's rows: attention, focal loss, distillation.
MODELS = {
    "model 1: MobileNetV3": (False, False, False),
    "model 2: + self-attention": (True, False, False),
    "model 3: + focal loss": (False, True, False),
    "model 4: + distillation": (False, False, True),
    "model 5: all": (True, True, True),
}
# Beyond the paper: what each switch changes about model 5.
SWITCHES: dict[str, dict[str, Any]] = {
    "causal, for streams": {"causal": True},
    "temporal shift": {"temporal_shift": True},
    "rgb difference": {"input": "rgb_difference"},
}


def recipe(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """What all arms and the teacher share."""
    return {
        "task": "action",
        "data": {
            "format": "hmdb51",
            "root": str(args.root),
            "options": {"split": 1},
            "cache": str(args.output / "cache"),
            "store": "frames",
            "store_short_side": 140,
            "store_every": 2,
            "window": {"seconds": 2.0, "stretch": 0.15},
        },
        "network": {"size": args.size, "short_side": round(args.size * 1.3)},
        "augmentation": {"frame_size": None, "scales": [0.86, 0.78, 0.7, 0.62], "positions": "near_centre"},
        "optimizer": {"name": "adamw", "rate": 3e-4, "weight_decay": 0.05, "schedule": "one_cycle", "clip_norm": 5.0},
        "training": {"epochs": args.epochs, "batch": 32, "seed": seed, "channels_last": True, "validate_every": 0},
    }


def train(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One run; its report. Done runs are read, broken off ones go on."""
    if not (folder / "summary.json").is_file():
        run_training(values, folder, resume=True)
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def teacher_of(args: argparse.Namespace) -> Path:
    """Checkpoint of the teacher, trained when it is not there yet."""
    if args.teacher is not None:
        return args.teacher
    values = recipe(args, seed=1000)
    values["network"] |= {"name": "resnet50"}
    values["training"] |= {"epochs": args.teacher_epochs}
    train(values, args.output / "teacher")
    return args.output / "teacher" / "last.ckpt"


def arm(args: argparse.Namespace, model: str, seed: int, teacher: Path) -> dict[str, Any]:
    """One model, or model 5 with one switch, with one seed."""
    switch = SWITCHES.get(model, {})
    attention, focal, distilled = MODELS["model 5: all" if switch else model]
    values = recipe(args, seed)
    values["network"] |= {
        "name": "larmuv",
        "weights": None if args.start is None else str(args.start),
        "options": {"attention": attention, "norm_momentum": 0.1, "classifier_dropout": 0.2} | switch,
    }
    values["loss"] = {"gamma": 2.0 if focal else 0.0, "distillation": 0.5 if distilled else 0.0}
    values["teacher"] = [{"checkpoint": str(teacher)}] if distilled else []
    name = model.split(":")[0].replace(" ", "").replace(",", "_")
    return train(values, args.output / f"{name}_seed{seed}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="simulated clips")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"), help="folder of the runs")
    parser.add_argument("--result", type=Path, default=Path("benchmarks/results/larmuv_ablation.json"))
    parser.add_argument("--start", type=Path, help="checkpoint that all arms start from")
    parser.add_argument("--teacher", type=Path, help="checkpoint of a teacher; by default a ResNet-50 is trained")
    parser.add_argument("--switches", action="store_true", help="also the switches beyond the paper")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--switch-seeds", type=int, nargs="+", default=[0, 1, 2], help="which of --seeds the switches take"
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--teacher-epochs", type=int, default=40)
    parser.add_argument("--size", type=int, default=80, help="input side [px]")
    return parser.parse_args()


def main() -> None:
    """Run what is missing, write the table."""
    args = parse()
    teacher = teacher_of(args)
    rows: dict[str, list[float]] = {model: [] for model in (*MODELS, *(SWITCHES if args.switches else ()))}
    for seed in args.seeds:
        for model, tops in rows.items():
            if model in MODELS or seed in args.switch_seeds:
                tops.append(arm(args, model, seed, teacher)["top1"])
    table = {
        model: {
            "top1": tops,
            "mean": float(np.mean(tops)),
            "spread": float(np.std(tops, ddof=1)) if len(tops) > 1 else None,
        }
        for model, tops in rows.items()
    }
    plain, full = table["model 1: MobileNetV3"], table["model 5: all"]
    write_json(
        args.result,
        {
            "provenance": provenance(args.seeds),
            "setting": {"epochs": args.epochs, "size": args.size, "start": args.start.name if args.start else None},
            "rows": table,
            "gain_of_all": full["mean"] - plain["mean"],
            "above_the_spread": full["mean"] - plain["mean"] > max(full["spread"] or 0, plain["spread"] or 0),
        },
    )
    for model, row in table.items():
        print(f"{model:28} {row['mean']:.4f}" + ("" if row["spread"] is None else f" +- {row['spread']:.4f}"))


if __name__ == "__main__":
    main()
