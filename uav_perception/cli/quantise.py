"""`uav-perception quantise`: an INT8 version of a detection model."""

from __future__ import annotations

import argparse

HELP = "make an INT8 version of a detection model from calibration pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", help="float32 ONNX file")
    parser.add_argument("out", help="ONNX file to write")
    parser.add_argument("--pictures", required=True, help="folder of pictures from where the model will be used")
    parser.add_argument("--count", type=int, default=200, help="pictures to use at most (%(default)s)")
    parser.add_argument(
        "--for", dest="form", default="onnxruntime", choices=("onnxruntime", "tensorrt"), help="engine (%(default)s)"
    )
    parser.add_argument("--exclude", nargs="*", default=[], metavar="NODE", help="nodes that stay float32")
    parser.add_argument("--contract", help="YAML contract, when the model carries none")


def run(args: argparse.Namespace) -> int:
    """Calibrate, write, compare."""
    from pathlib import Path

    from uav_perception.deployment.quantise import quantise, read_pictures
    from uav_perception.inference.backends import BackendOptions, make_backend
    from uav_perception.inference.preprocess import Preprocessor
    from uav_perception.inference.verify import verify

    pictures = read_pictures(args.pictures, args.count)
    contract = quantise(args.model, args.out, pictures, args.form, args.exclude, args.contract)
    sizes = [Path(path).stat().st_size / 1e6 for path in (args.model, args.out)]
    print(f"{args.out}: {sizes[1]:.1f} MB (float32: {sizes[0]:.1f} MB), calibrated on {len(pictures)} pictures")
    backend = make_backend("onnxruntime", args.out, BackendOptions())
    preprocess = Preprocessor(contract)
    name = next(iter(backend.inputs))
    feeds = [{name: preprocess(picture)[0].copy()} for picture in pictures[:8]]
    result = verify(args.model, backend, feeds, tolerance=0.1)
    print(
        f"relative error of the outputs {result.relative_error:.3f}; in ONNX Runtime {result.milliseconds:.1f} ms, "
        f"float32 {result.reference_milliseconds:.1f} ms. Compare the AP of both before flying."
    )
    return 0
