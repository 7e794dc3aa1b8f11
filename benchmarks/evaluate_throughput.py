"""Evaluation of a long flight: is memory flat, and how much of the backend's own rate is reached?

    python benchmarks/evaluate_throughput.py --model models/detector.onnx --flight FLIGHT --images 10000 \
        --out benchmarks/results/evaluate_throughput.json

A bag of the wanted length is written from the images of a flight, over and over, and evaluated with detection alone; a
shorter one with tracking. With --threads 1 on two cores the second core is left to reading and to what follows the
network. The backend's own rate is that of its forward pass alone on the same images, prepared beforehand, timed in the
same run before and after each evaluation. Memory is sampled after every 100th image.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil
from rosbags.rosbag2 import StoragePlugin, Writer
from tqdm import tqdm

from uav_perception.evaluation.bag import Bag
from uav_perception.evaluation.latency import stage_summaries
from uav_perception.evaluation.pipeline import Pipeline
from uav_perception.evaluation.runner import evaluate_source
from uav_perception.evaluation.settings import Settings
from uav_perception.files import write_json
from uav_perception.frames.bags import BAG_VERSION
from uav_perception.frames.compressed import encode_jpeg
from uav_perception.frames.convert import COMPRESSED_IMAGE
from uav_perception.frames.typestore import typestore
from uav_perception.inference.preprocess import Preprocessor
from uav_perception.provenance import provenance

INTERVAL_NS = 33_333_333
SAMPLE_EVERY = 100


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--flight", required=True, help="a bag whose images are repeated")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--tracked-images", type=int, default=1000, help="of them with tracking")
    parser.add_argument("--forward", type=int, default=200, help="forward passes that are timed before and after")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", default="benchmarks/results/evaluate_throughput.json")
    return parser.parse_args()


def write_long_bag(path: Path, pictures: list[np.ndarray], count: int) -> None:
    """JPEGs on one topic, stamped at 30 Hz."""
    store = typestore()
    types = store.types
    jpegs = [np.frombuffer(encode_jpeg(picture), np.uint8) for picture in pictures]
    with Writer(path, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/camera/image_raw/compressed", COMPRESSED_IMAGE, typestore=store)
        for i, data in enumerate(tqdm(islice(cycle(jpegs), count), total=count, desc="Writing the bag")):
            stamp = 1_000_000_000 + i * INTERVAL_NS
            time_of = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
            header = types["std_msgs/msg/Header"](stamp=time_of, frame_id="camera_optical_frame")
            message = types[COMPRESSED_IMAGE](header=header, format="jpeg", data=data)
            writer.write(connection, stamp, store.serialize_cdr(message, COMPRESSED_IMAGE))


def forward_rate(pipeline: Pipeline, pictures: list[np.ndarray], count: int) -> float:
    """Images a second of the backend's forward pass alone."""
    preprocess = Preprocessor(pipeline.detector.contract)
    tensors = [preprocess(picture)[0].copy() for picture in pictures[:count]]
    name = next(n for n, shape in pipeline.detector.backend.inputs.items() if len(shape) == 4)
    began = time.perf_counter()
    for tensor in islice(cycle(tensors), count):
        pipeline.detector.backend.run({name: tensor})
    return count / (time.perf_counter() - began)


def measured(bag: Path, settings: Settings, pictures: list[np.ndarray], passes: int, name: str) -> dict[str, object]:
    """One evaluation of the long bag with its memory over time."""
    pipeline = Pipeline(settings)
    process = psutil.Process()
    memory: list[float] = []
    before = forward_rate(pipeline, pictures, passes)
    source = Bag(bag)
    with tqdm(total=len(source), desc=name) as bar:

        def progress(count: int) -> None:
            bar.update(count)
            if bar.n % SAMPLE_EVERY == 0:
                memory.append(process.memory_info().rss / 1e6)

        record = evaluate_source(source, None, pipeline, progress=progress)
    after = forward_rate(pipeline, pictures, passes)
    rate = record.accounting.processed / record.wall_s
    tenth = max(1, len(memory) // 10)
    return {
        "images": record.accounting.processed,
        "images_per_second": rate,
        "forward_alone_images_per_second": [before, after],
        "share_of_forward_alone": rate / np.mean([before, after]),
        "memory_mb": {
            "after_first_tenth": float(np.median(memory[tenth : 2 * tenth])),
            "last_tenth": float(np.median(memory[-tenth:])),
            "peak": max(memory),
        },
        "stages_ms": stage_summaries(record.timings_ms),
    }


def main() -> None:
    args = arguments()
    flight = Bag(args.flight)
    pictures = [image.decode().image.copy() for image in islice(flight.images(), 300)]
    with tempfile.TemporaryDirectory() as folder:
        results = {}
        for name, count in (("detection", args.images), ("detection and tracking", args.tracked_images)):
            bag = Path(folder) / name
            write_long_bag(bag, pictures, count)
            settings = Settings(model=args.model, track="tracking" in name, threads=args.threads)
            results[name] = measured(bag, settings, pictures, args.forward, name)
    height, width = pictures[0].shape[:2]
    write_json(
        args.out, {"image": [width, height], "threads": args.threads, "results": results, "provenance": provenance()}
    )
    for name, result in results.items():
        print(
            f"{name}: {result['images_per_second']:.1f} images/s, {result['share_of_forward_alone']:.2f} of the "
            f"forward pass alone; memory {result['memory_mb']}"
        )


if __name__ == "__main__":
    main()
