"""`uav-perception export`: from a training's checkpoint to the one ONNX file that the nodes run."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "export a trained network to one ONNX file with its contract"


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write WIDTHxHEIGHT, for example 640x384") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Checkpoint, output, and what the exporters can be told."""
    parser.add_argument("checkpoint", type=Path, help="detector.pt, or the checkpoint of an action network")
    parser.add_argument("output", type=Path, help="the ONNX file to write")
    parser.add_argument("--name", help="name of the model; default: the output's name")
    parser.add_argument("--size", type=_size, metavar="WxH", help="input size [px], multiples of 32 (detectors)")
    parser.add_argument(
        "--form", help="form of an action network: parts (the default: a stream computes each frame once) or clip"
    )


def run(args: argparse.Namespace) -> int:
    """Export, and say what was written."""
    from uav_perception.deployment.export import export

    contract = export(args.checkpoint, args.output, name=args.name, size=args.size, form=args.form)
    size = args.output.stat().st_size / 1e6
    print(
        f"{args.output}: {contract.name}, decoder {contract.decoder}, {contract.input_width}x{contract.input_height}, "
        f"{len(contract.class_names)} classes, {size:.1f} MB"
    )
    return 0
