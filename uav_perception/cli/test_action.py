"""`uav-perception test-action`: an action checkpoint on a data set's test part, or on single videos."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "test an action checkpoint on a data set by one of the published protocols, or name what single videos show"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A checkpoint, and either videos or a recipe that names the data."""
    parser.add_argument("checkpoint", type=Path, help="last.ckpt of a training run")
    parser.add_argument("videos", type=Path, nargs="*", help="video files to name the action of")
    parser.add_argument("--config", type=Path, metavar="RECIPE", help="recipe whose test part is used")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="override it")
    parser.add_argument("--split", type=int, help="split of the data set; by default the recipe's first")
    parser.add_argument(
        "--protocol",
        choices=("centre", "ten-crop", "interleaved", "classic"),
        default="centre",
        help="K segment centres; 10 crops; 5 interleaved clips; 25 segments x 10 crops (default %(default)s)",
    )
    parser.add_argument("--output", type=Path, help="folder for result.json and confusion.png")


def run(args: argparse.Namespace) -> int:
    """Test or predict."""
    import torch

    from uav_perception.training.action_model import load_action_checkpoint
    from uav_perception.training.errors import RecipeError

    if bool(args.videos) == bool(args.config):
        raise RecipeError("Give either video files or --config with a recipe.")
    network, model = load_action_checkpoint(args.checkpoint)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    if args.videos:
        _predict(network, model, args)
    else:
        _test(network, model, args)
    return 0


def _predict(network, model, args: argparse.Namespace) -> None:
    """Print the five likeliest actions of each file."""
    import tempfile

    from uav_perception.datasets.action_clips import PROTOCOLS, TestClips, Window
    from uav_perception.datasets.frame_source import VideoFiles
    from uav_perception.datasets.video_list import LabelledVideo, VideoList
    from uav_perception.training.action_testing import predict

    # Labels are not known and not used.
    samples = tuple(LabelledVideo(str(path), path, 0) for path in dict.fromkeys(args.videos))
    videos = VideoList("the given videos", model.class_names, samples)
    with tempfile.TemporaryDirectory() as folder:
        source = VideoFiles(videos, Path(folder) / "frames.json")
    # What was trained on sub-windows is shown the middle one, as in its test.
    window = Window(model.window_seconds) if model.window_seconds else None
    logits, _ = predict(network, TestClips(source, model.feed, PROTOCOLS[args.protocol], window), 1)
    for index, row in enumerate(logits.softmax(1)):
        best = row.topk(min(5, len(row)))
        named = ", ".join(
            f"{model.class_names[label]} {score:.3f}"
            for score, label in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        print(f"{source.video(index).name} ({source.frames(index)} frames, {source.fps(index):.2f} fps): {named}")


def _test(network, model, args: argparse.Namespace) -> None:
    """Test on a recipe's data, print the accuracies, write the report."""
    from uav_perception.datasets.action_clips import PROTOCOLS, TestClips
    from uav_perception.files import write_json
    from uav_perception.provenance import provenance
    from uav_perception.training.action_data import open_source, videos_of
    from uav_perception.training.action_recipe import ActionRecipe
    from uav_perception.training.action_testing import confusion_matrix, draw_confusion, predict, report_of
    from uav_perception.training.checked import checked
    from uav_perception.training.errors import RecipeError
    from uav_perception.training.recipes import load_recipe

    recipe = checked(ActionRecipe, load_recipe(args.config, args.overrides))
    split = args.split if args.split is not None else next(iter(recipe.data.splits), None)
    videos = videos_of(recipe.data, "test", split)
    if videos.class_names != model.class_names:
        raise RecipeError(f"The checkpoint knows {model.class_names}, the data {videos.class_names}.")
    source = open_source(videos, recipe.data, model.feed)
    clips = TestClips(source, model.feed, PROTOCOLS[args.protocol], recipe.data.window)
    logits, labels = predict(network, clips, 8, recipe.training.workers, videos.title)
    confusion = confusion_matrix(labels, logits.argmax(1), len(model.class_names))
    report = report_of(confusion, model.class_names)
    print(
        f"{videos.title}, {args.protocol}: top-1 {report['top1']:.4f}, mean class {report['mean_class']:.4f}, "
        f"{report['clips']} clips, {len(source.skipped)} left out"
    )
    if args.output:
        write_json(args.output / "result.json", report | {"protocol": args.protocol, "provenance": provenance()})
        draw_confusion(confusion, model.class_names, args.output / "confusion.png")
