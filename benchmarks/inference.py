"""What one image costs, stage by stage: decoding the message, preprocessing, the network, decoding its outputs.

    python benchmarks/inference.py --model detector.onnx --image picture.jpg --out benchmarks/results/inference.json

Frame stages are measured at three camera sizes. The network is measured in ONNX Runtime in float32 and, quantised on
the given picture and parts of it (good enough for the speed, not for the accuracy), in INT8; both with one thread and
with all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from uav_perception.deployment.quantise import quantise
from uav_perception.files import write_json
from uav_perception.frames.bags import IMAGE
from uav_perception.frames.compressed import decode, encode_jpeg
from uav_perception.frames.convert import frame_from_cdr
from uav_perception.frames.raw_image import from_array, to_bgr
from uav_perception.frames.typestore import typestore
from uav_perception.inference.backends import BackendOptions
from uav_perception.inference.contract import ModelContract
from uav_perception.inference.detector import Detector
from uav_perception.inference.preprocess import Preprocessor
from uav_perception.provenance import provenance

SIZES = ((640, 480), (1280, 720), (1920, 1080))


def timed(call: Callable[[], object], runs: int) -> dict[str, float]:
    """Median and 99th percentile of a call after a warm-up [ms]."""
    for _ in range(3):
        call()
    spent = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - start))
    return {"p50": round(float(np.median(spent)), 3), "p99": round(float(np.percentile(spent, 99)), 3)}


def serialised(image: np.ndarray, encoding: str) -> bytes:
    """A `sensor_msgs/Image` as bytes."""
    types, fields = typestore().types, from_array(image, encoding)
    header = types["std_msgs/msg/Header"](stamp=types["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id="c")
    message = types[IMAGE](
        header=header, height=fields.height, width=fields.width, encoding=encoding, is_bigendian=0, step=fields.step,
        data=fields.data,
    )  # fmt: skip
    return bytes(typestore().serialize_cdr(message, IMAGE))


def frame_stages(picture: np.ndarray, contract: ModelContract, runs: int) -> dict[str, dict]:
    """Decoding of messages and preprocessing, by size of the camera's image."""
    results = {}
    for width, height in SIZES:
        image = cv2.resize(picture, (width, height))
        bgr, rgb = serialised(image, "bgr8"), serialised(image, "rgb8")
        bayer = from_array(np.ascontiguousarray(image[:, :, 1]), "bayer_rggb8")
        jpeg, preprocess = encode_jpeg(image), Preprocessor(contract)
        calls = {
            "bgr8 from CDR (a view)": lambda data=bgr: frame_from_cdr(data),
            "rgb8 from CDR": lambda data=rgb: frame_from_cdr(data),
            "bayer_rggb8": lambda raw=bayer: to_bgr(raw),
            "JPEG, quality 90": lambda data=jpeg: decode(data),
            "preprocess": lambda image=image, preprocess=preprocess: preprocess(image),
        }
        results[f"{width}x{height}"] = {name: timed(call, runs) for name, call in calls.items()}
    return results


def network(model: Path, contract_file: str | None, image: np.ndarray, threads: int, runs: int) -> dict[str, dict]:
    """The stages of `Detector.detect` on a picture."""
    detector = Detector(model, contract_file=contract_file, options=BackendOptions(threads=threads))
    detector.warm_up(5)
    stages: dict[str, list[float]] = {"preprocess": [], "inference": [], "postprocess": []}
    for _ in range(runs):
        found = detector.detect(image)
        for name, spent in stages.items():
            spent.append(getattr(detector.timings, name))
    table = {
        name: {"p50": round(float(np.median(spent)), 3), "p99": round(float(np.percentile(spent, 99)), 3)}
        for name, spent in stages.items()
    }
    return {**table, "objects": len(found), "backend": detector.backend.description}


def crops(image: np.ndarray, count: int) -> list[np.ndarray]:
    """Parts of a picture, to calibrate the quantisation's ranges on."""
    rng = np.random.default_rng(0)
    parts = [image]
    for _ in range(count):
        size = rng.uniform(0.4, 0.9)
        high, wide = round(size * image.shape[0]), round(size * image.shape[1])
        y, x = rng.integers(0, image.shape[0] - high + 1), rng.integers(0, image.shape[1] - wide + 1)
        parts.append(np.ascontiguousarray(image[y : y + high, x : x + wide]))
    return parts


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="float32 ONNX detector")
    parser.add_argument("--contract", help="YAML contract, when the model carries none")
    parser.add_argument("--image", required=True, help="picture to run on")
    parser.add_argument("--runs", type=int, default=100, help="runs of each measurement (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/inference.json"))
    args = parser.parse_args()
    picture = cv2.imread(args.image, cv2.IMREAD_COLOR)
    if picture is None:
        parser.error(f"{args.image} cannot be read as a picture")
    contract = Detector(args.model, contract_file=args.contract).contract
    result: dict[str, object] = {"model": contract.name, "input": [contract.input_width, contract.input_height]}
    result["frame_ms"] = frame_stages(picture, contract, args.runs)
    with tempfile.TemporaryDirectory() as folder:
        int8 = Path(folder) / "int8.onnx"
        quantise(args.model, int8, crops(picture, 16), contract_file=args.contract)
        cases = [(name, path, file, threads) for name, path, file in
                 (("float32", args.model, args.contract), ("INT8", int8, None)) for threads in (1, 0)]  # fmt: skip
        result["detector_ms"] = {
            f"{name}, {'all threads' if threads == 0 else 'one thread'}": network(
                path, file, picture, threads, args.runs
            )
            for name, path, file, threads in tqdm(cases, desc="network")
        }
    write_json(args.out, {**result, "runs": args.runs, "provenance": provenance(seed=0)})
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
