"""Building the TensorRT engines of a model without running them, and checking a detector's against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx

from uav_perception.actions.model import cut
from uav_perception.deployment.errors import DeploymentError
from uav_perception.inference.backends import BackendOptions, make_backend
from uav_perception.inference.backends.tensorrt import prepare_engine
from uav_perception.inference.backends.tensorrt_cache import CachedEngine, cache_directory
from uav_perception.inference.contract import ModelContract, read_contract
from uav_perception.inference.model_file import input_shapes, load_model
from uav_perception.inference.preprocess import Preprocessor
from uav_perception.inference.verify import Verification, verify


def build_engines(
    model: str | Path, library: str, precision: str, contract_file: str | None = None, cache: str | None = None
) -> list[CachedEngine]:
    """Build the engines that a node will look for, or find them up to date.

    Args:
        model: ONNX file of a detector (one engine) or an action recogniser (two, backbone and transformer).
        library: "tensorrt" or "tensorrt_rtx".
        precision: "fp32" or "fp16".
        contract_file: YAML contract, when the model carries none.
        cache: folder to use instead of that beside the model.

    Raises:
        ModelError: the model or its contract is missing or wrong.
        BackendError: TensorRT is missing or refuses the model.
    """
    contract = read_contract(model, contract_file)
    options = engine_options(model, contract, precision, cache)
    return [prepare_engine(part, options, library) for part in _parts(model, contract)]


def engine_options(model: str | Path, contract: ModelContract, precision: str, cache: str | None) -> BackendOptions:
    """The options with which a detector or recogniser asks for its engines."""
    folder = Path(cache) if cache else None
    if contract.task == "action":
        return BackendOptions(precision=precision, cache_directory=cache_directory(Path(model), folder))
    picture = (1, 3, contract.input_height, contract.input_width)
    shapes = input_shapes(load_model(model))
    free = {name: picture for name, shape in shapes.items() if len(shape) == 4 and None in shape}
    return BackendOptions(precision=precision, cache_directory=folder, input_shapes=free)


def _parts(model: str | Path, contract: ModelContract) -> list[str | Path | onnx.ModelProto]:
    if contract.task == "detection":
        return [model]
    graph = load_model(model)
    if "clip" in input_shapes(graph):
        return [cut(graph, ["clip"], ["logits"])]
    return [cut(graph, ["frames"], ["features"]), cut(graph, ["window"], ["logits"])]


def verify_engine(
    model: str | Path,
    library: str,
    precision: str,
    contract_file: str | None = None,
    cache: str | None = None,
    images: Sequence[str] = (),
) -> Verification:
    """Run a detector's engine and ONNX Runtime on the same pictures.

    Args:
        images: files of pictures; noise where none is given, which excites a network less.

    Raises:
        DeploymentError: the model is no detector, or a picture cannot be read.
        BackendError: there is no GPU, or an engine refused.
    """
    contract = read_contract(model, contract_file)
    if contract.task != "detection":
        raise DeploymentError(f"{model} is for task {contract.task!r}; only detectors can be verified by this command.")
    backend = make_backend(library, model, engine_options(model, contract, precision, cache))
    preprocess, name = Preprocessor(contract), next(iter(backend.inputs))
    pictures = _pictures(images, contract.input_width, contract.input_height)
    return verify(model, backend, [{name: preprocess(picture)[0].copy()} for picture in pictures])


def _pictures(paths: Sequence[str], width: int, height: int) -> list[np.ndarray]:
    if not paths:
        rng = np.random.default_rng(0)
        return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(4)]
    pictures = [cv2.imread(path, cv2.IMREAD_COLOR) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        if picture is None:
            raise DeploymentError(f"{path} cannot be read as a picture.")
    return pictures
