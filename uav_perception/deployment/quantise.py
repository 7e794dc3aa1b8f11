"""Static INT8 quantisation from calibration pictures, as QuantizeLinear and DequantizeLinear nodes in the ONNX file.

Two forms, since no file suits both engines: ONNX Runtime is fast on unsigned activations and signed weights with their
biases quantised; TensorRT's parser takes symmetric signed ones only and refuses a quantised bias.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from tqdm import tqdm

from uav_perception.deployment.errors import DeploymentError
from uav_perception.files import replacing
from uav_perception.inference.contract import ModelContract, read_contract, write_contract
from uav_perception.inference.model_file import input_shapes, load_model
from uav_perception.inference.preprocess import Preprocessor
from uav_perception.provenance import provenance

FORMS = ("onnxruntime", "tensorrt")
_WEIGHTED = ["Conv", "Gemm", "MatMul"]
_PER_CHANNEL_OPSET = 13
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


def quantise(
    model: str | Path,
    out: str | Path,
    pictures: Sequence[np.ndarray],
    form: str = "onnxruntime",
    exclude: Sequence[str] = (),
    contract_file: str | Path | None = None,
) -> ModelContract:
    """Write an INT8 version of a detection model, with the same contract.

    What lies behind the last convolutions stays float32: there boxes of hundreds of pixels and scores below 1 are often
    joined in one tensor, whose single scale would round the scores away.

    Args:
        model: float32 ONNX file with one picture input.
        out: file to write.
        pictures: uint8 BGR pictures from where the model will be used; 100 to 300 are usual. They set the ranges.
        form: "onnxruntime" (also for OpenVINO) or "tensorrt".
        exclude: names of further nodes that stay float32.
        contract_file: YAML contract, when the model carries none.

    Returns:
        The written contract; its provenance says how the file was made.

    Raises:
        DeploymentError: the form is unknown, there are no pictures, or the model is quantised already.
        ModelError: the model or its contract is missing or wrong.
    """
    if form not in FORMS:
        raise DeploymentError(f"Unknown form {form!r}. Known are: {', '.join(FORMS)}.")
    if not pictures:
        raise DeploymentError("Quantisation needs pictures to calibrate on; give a folder with some hundred of them.")
    contract = read_contract(model, contract_file)
    graph = load_model(model)
    if any(node.op_type == "QuantizeLinear" for node in graph.graph.node):
        raise DeploymentError(f"{model} is quantised already. Start from the float32 model.")
    unknown = sorted(set(exclude) - {node.name for node in graph.graph.node})
    if unknown:
        raise DeploymentError(f"The model has no nodes {', '.join(unknown)} to exclude.")
    names = [name for name, shape in input_shapes(graph).items() if len(shape) == 4]
    if len(names) != 1:
        raise DeploymentError(f"{model} must have one picture input of 4 dimensions, but has {len(names)}.")
    record = {**provenance(), "form": form, "calibration_pictures": len(pictures), "from": Path(model).name}
    contract = replace(contract, provenance={**contract.provenance, "quantised": record})
    with replacing(out) as temporary, tempfile.TemporaryDirectory() as folder:
        plain, prepared = Path(folder) / "plain.onnx", Path(folder) / "prepared.onnx"
        _tidy(graph)
        onnx.save(_with_recent_operators(graph, str(model)), str(plain))
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        reader = _Reader(pictures, contract, names[0])
        kept = [*exclude, *output_nodes(onnx.load(str(prepared)))]
        quantize_static(str(prepared), str(temporary), reader, nodes_to_exclude=kept, **_settings(form))
        write_contract(temporary, contract)
    return contract


def read_pictures(folder: str | Path, limit: int) -> list[np.ndarray]:
    """Pictures of a folder and its subfolders, evenly chosen.

    Args:
        folder: where they lie.
        limit: how many are read at most.

    Returns:
        uint8 BGR pictures.

    Raises:
        DeploymentError: there are none, or one cannot be read.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise DeploymentError(f"The folder {folder} holds no pictures ({', '.join(sorted(_SUFFIXES))}).")
    chosen = [paths[index] for index in np.linspace(0, len(paths) - 1, min(limit, len(paths))).round().astype(int)]
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in chosen]
    for path, picture in zip(chosen, pictures, strict=True):
        if picture is None:
            raise DeploymentError(f"{path} cannot be read as a picture.")
    return pictures


def _settings(form: str) -> dict[str, object]:
    common = {"quant_format": QuantFormat.QDQ, "calibrate_method": CalibrationMethod.MinMax, "per_channel": True}
    if form == "onnxruntime":
        return {**common, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    symmetric = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
    types = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    return {**common, **types, "op_types_to_quantize": _WEIGHTED, "extra_options": symmetric}


def output_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes between the last weighted layers (Conv, Gemm, MatMul) and the outputs."""
    maker = {output: node for node in model.graph.node for output in node.output}
    waiting = [value.name for value in model.graph.output]
    found: dict[str, None] = {}
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.op_type not in _WEIGHTED and node.name not in found:
            found[node.name] = None
            waiting += node.input
    return list(found)


def _tidy(model: onnx.ModelProto) -> None:
    """Fix a free batch to 1, so that shapes can be inferred, and name every node, so that each can be told."""
    for value in model.graph.input:
        first = value.type.tensor_type.shape.dim[:1]
        for dimension in first:
            if not dimension.dim_value:
                dimension.dim_value = 1
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{index}"


def _with_recent_operators(model: onnx.ModelProto, what: str) -> onnx.ModelProto:
    """Convert old models: a scale for each channel needs operator set 13."""
    version = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)
    if version >= _PER_CHANNEL_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, _PER_CHANNEL_OPSET)
    except RuntimeError as error:
        raise DeploymentError(
            f"{what} uses operator set {version} and cannot be converted to {_PER_CHANNEL_OPSET}, which quantisation "
            f"by channel needs: {error}. Export it again with opset_version={_PER_CHANNEL_OPSET} or higher."
        ) from error


class _Reader(CalibrationDataReader):
    def __init__(self, pictures: Sequence[np.ndarray], contract: ModelContract, name: str) -> None:
        self._feeds = self._tensors(pictures, contract, name)

    @staticmethod
    def _tensors(pictures: Sequence[np.ndarray], contract: ModelContract, name: str) -> Iterator[dict[str, np.ndarray]]:
        preprocess = Preprocessor(contract)
        for picture in tqdm(pictures, desc="calibration", unit="picture"):
            tensor, _ = preprocess(picture)
            yield {name: tensor.copy()}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, None at the end."""
        return next(self._feeds, None)
