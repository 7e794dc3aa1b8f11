"""`uav-perception engine`: build a TensorRT engine ahead of the flight."""

from __future__ import annotations

import argparse

HELP = "build the TensorRT engine of a model, so that the first start does not have to"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", help="ONNX file")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "fp16"), help="INT8 is part of the model file")
    parser.add_argument("--library", default="tensorrt", choices=("tensorrt", "tensorrt_rtx"), help="(%(default)s)")
    parser.add_argument("--contract", help="YAML contract, when the model carries none")
    parser.add_argument("--cache", help="folder for the engine (beside the model)")
    parser.add_argument("--verify", action="store_true", help="run it and compare with ONNX Runtime (needs the GPU)")
    parser.add_argument("--images", nargs="*", default=[], help="pictures for --verify (noise where none is given)")


def run(args: argparse.Namespace) -> int:
    """Build, and verify if asked."""
    from uav_perception.deployment.engine import build_engines, verify_engine

    for engine in build_engines(args.model, args.library, args.precision, args.contract, args.cache):
        print(f"{engine.path}: {len(engine.plan) / 1e6:.1f} MB, {'built' if engine.built else 'up to date'}")
    if not args.verify:
        return 0
    result = verify_engine(args.model, args.library, args.precision, args.contract, args.cache, args.images)
    print(
        f"relative error {result.relative_error:.2e} (allowed {result.tolerance:g}), "
        f"largest difference {result.largest_difference:.3g}; "
        f"{result.milliseconds:.2f} ms, ONNX Runtime {result.reference_milliseconds:.2f} ms"
    )
    print("the engine agrees with the model" if result.passed else "the engine does NOT agree with the model")
    return 0 if result.passed else 1
