"""Building a TensorRT engine without running it, and checking it against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from uav_perception.inference.backends import BackendOptions, make_backend
from uav_perception.inference.backends.tensorrt import prepare_engine
from uav_perception.inference.backends.tensorrt_cache import CachedEngine
from uav_perception.inference.contract import read_contract
from uav_perception.inference.errors import ModelError
from uav_perception.inference.model_file import input_shapes, load_model
from uav_perception.inference.preprocess import Preprocessor
from uav_perception.inference.verify import Verification, verify


def build_engine_file(
    model: str | Path, library: str, precision: str, contract_file: str | None = None, cache: str | None = None
) -> tuple[CachedEngine, BackendOptions]:
    """Build a detector's engine, or find it up to date.

    Returns:
        The engine, and the options that the detector must be given to find it again.

    Raises:
        ModelError: the model or its contract is missing or wrong.
        BackendError: TensorRT is missing or refuses the model.
    """
    contract = read_contract(model, contract_file)
    picture = (1, 3, contract.input_height, contract.input_width)
    free = {name: picture for name, s in input_shapes(load_model(model)).items() if len(s) == 4 and None in s}
    options = BackendOptions(
        precision=precision,
        cache_directory=Path(cache) if cache else None,
        input_shapes=free if contract.task == "detection" else {},
    )
    return prepare_engine(model, options, library), options


def verify_engine(
    model: str | Path, library: str, options: BackendOptions, contract_file: str | None, images: Sequence[str]
) -> Verification:
    """Run an engine and ONNX Runtime on the same pictures.

    Raises:
        ModelError: a picture cannot be read.
        BackendError: there is no GPU, or an engine refused.
    """
    contract = read_contract(model, contract_file)
    preprocess = Preprocessor(contract)
    backend = make_backend(library, model, options)
    feeds = []
    for image in _pictures(images, contract.input_width, contract.input_height):
        tensor, _ = preprocess(image)
        feeds.append({next(iter(backend.inputs)): tensor.copy()})
    return verify(model, backend, feeds)


def _pictures(paths: Sequence[str], width: int, height: int) -> list[np.ndarray]:
    if not paths:
        rng = np.random.default_rng(0)
        return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(4)]
    pictures = [(path, cv2.imread(path, cv2.IMREAD_COLOR)) for path in paths]
    for path, picture in pictures:
        if picture is None:
            raise ModelError(f"{path} cannot be read as a picture.")
    return [picture for _, picture in pictures]
