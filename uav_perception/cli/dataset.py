"""`uav-perception dataset`: look at a detection data set, convert it, cut it into tiles, measure a detector on it."""

from __future__ import annotations

import argparse
from pathlib import Path

from uav_perception.datasets.errors import DatasetError

HELP = "check, convert or tile a detection data set, or measure a detector on it"

_EXAMPLE = (
    "format=visdrone root=DIR | format=coco annotations=FILE images=DIR [class_names=NAME,NAME] | "
    "format=uavdt images=DIR annotations=DIR split=test [every=N]"
)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not key=value; describe a data set as {_EXAMPLE}")
    return key, value


def _every(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise DatasetError(f"every={text}: it must be a whole number, at least 1.")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand an action; every one takes the description of a data set at the end."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="count images and objects, and name what is broken")
    check.add_argument("--decode", action="store_true", help="decode every image too, not only its header")
    to_coco = actions.add_parser("to-coco", help="write the annotations as COCO JSON")
    to_coco.add_argument("output", type=Path, help="the JSON file")
    to_visdrone = actions.add_parser("to-visdrone", help="write the annotations as VisDrone-DET text files")
    to_visdrone.add_argument("output", type=Path, help="folder that gets annotations/")
    tile = actions.add_parser("tile", help="cut the images into overlapping tiles, with a COCO JSON")
    tile.add_argument("output", type=Path, help="folder for tiles and coco.json")
    tile.add_argument("--tile", type=int, default=800, help="side of a tile [px] (default: %(default)s)")
    tile.add_argument("--overlap", type=int, default=160, help="least overlap [px] (default: %(default)s)")
    evaluate = actions.add_parser(
        "evaluate",
        help="measure a trained detector by the COCO, VisDrone and UAVDT protocols",
    )
    evaluate.add_argument("checkpoint", type=Path, help="detector.pt of a training")
    evaluate.add_argument("--batch", type=int, default=1, help="images a step (default: %(default)s)")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write all metrics there")
    to_uavdt = actions.add_parser("to-uavdt", help="write the annotations as UAVDT text files")
    to_uavdt.add_argument("output", type=Path, help="folder that gets <sequence>_gt_whole.txt and _gt_ignore.txt")
    for action in (check, to_coco, to_visdrone, to_uavdt, tile, evaluate):
        action.add_argument("description", nargs="+", type=_pair, metavar="KEY=VALUE", help=_EXAMPLE)


def run(args: argparse.Namespace) -> int:
    """Open the data set and do what was asked."""
    from uav_perception.datasets.detection_sources import open_detection_set

    values: dict[str, object] = dict(args.description)
    if "every" in values:
        values["every"] = _every(str(values["every"]))
    if "class_names" in values:
        values["class_names"] = str(values["class_names"]).split(",")
    dataset = open_detection_set(values)
    actions = {
        "check": _check,
        "to-coco": _to_coco,
        "to-visdrone": _to_visdrone,
        "to-uavdt": _to_uavdt,
        "tile": _tile,
        "evaluate": _evaluate,
    }
    return actions[args.action](args, dataset)


def _check(args: argparse.Namespace, dataset) -> int:
    from tqdm import tqdm

    from uav_perception.datasets.detection_loading import ImageStore

    problems = list(dataset.problems)
    if args.decode:
        store = ImageStore(dataset)
        for index, item in enumerate(tqdm(dataset.images, desc="images", unit="image")):
            if store.image(index) is None:
                problems.append(f"{item.name}: {store.broken[item.name]}")
    for line in problems:
        print(line)
    print(f"{len(dataset)} images, {len(problems)} problems")
    for name, count in dataset.counts().items():
        print(f"{name:20s} {count}")
    return 1 if problems else 0


def _to_coco(args: argparse.Namespace, dataset) -> int:
    from uav_perception.datasets.coco import write_coco

    write_coco(dataset, args.output)
    print(f"{args.output}: {len(dataset)} images, {sum(dataset.counts().values())} objects")
    return 0


def _to_visdrone(args: argparse.Namespace, dataset) -> int:
    from uav_perception.datasets.visdrone import write_visdrone

    write_visdrone(dataset, args.output)
    print(f"{args.output / 'annotations'}: {len(dataset)} files")
    return 0


def _to_uavdt(args: argparse.Namespace, dataset) -> int:
    from uav_perception.datasets.uavdt import write_uavdt

    write_uavdt(dataset, args.output)
    print(f"{args.output}: annotations of {len(dataset)} images")
    return 0


def _tile(args: argparse.Namespace, dataset) -> int:
    from uav_perception.datasets.coco import write_coco
    from uav_perception.datasets.tiles import tile_dataset

    tiles = tile_dataset(dataset, args.output, args.tile, args.overlap)
    write_coco(tiles, args.output / "coco.json")
    print(f"{args.output}: {len(tiles)} tiles of {len(dataset)} images, {len(tiles.problems)} problems")
    return 0


def _evaluate(args: argparse.Namespace, dataset) -> int:
    from uav_perception.files import write_json
    from uav_perception.training.detector_testing import PROTOCOLS, evaluate_checkpoint

    metrics = evaluate_checkpoint(args.checkpoint, dataset, args.batch)
    if args.json:
        write_json(args.json, metrics)
    names = ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "AR500")
    print(f"{metrics['images']} images" + "".join(f"{name:>8s}" for name in names))
    for protocol in (name for name in PROTOCOLS if name in metrics):
        values = (metrics[protocol].get(name) for name in names)
        print(f"{protocol:12s}" + "".join("       -" if value is None else f"{100 * value:8.2f}" for value in values))
    return 0
