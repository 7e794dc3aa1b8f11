"""The contract of a model: everything a program must know to feed its network and to read its output.

It travels inside the ONNX file, as JSON under the metadata key ``uav_perception``. Exports of Ultralytics carry their
own metadata, which is understood too. Any other ONNX gets a small YAML file beside it (``detector.onnx``,
``detector.yaml``) with the same fields.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import onnx
import yaml

from uav_perception.files import replacing
from uav_perception.inference.errors import ModelError
from uav_perception.inference.graph_check import check_graph
from uav_perception.inference.model_file import input_shapes, load_model, output_shapes
from uav_perception.inference.ultralytics import is_ultralytics, ultralytics_fields

METADATA_KEY = "uav_perception"
TASKS = ("detection", "action")
COLORS = ("rgb", "bgr")
RESIZES = ("letterbox", "keep_ratio", "stretch", "short_side_crop")
PAD_ANCHORS = ("center", "top_left")

# The decoders, the task of each, and the constants each cannot do without.
DECODERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gfl": ("detection", ("strides", "reg_max")),
    "fcos": ("detection", ("strides",)),
    "atss": ("detection", ("strides",)),
    "yolox": ("detection", ("strides",)),
    "yolo": ("detection", ()),
    "yolo_end_to_end": ("detection", ()),
    "rtdetr": ("detection", ()),
    "larmuv": ("action", ("segments", "feature_size", "window_seconds", "tick_hz")),
}


@dataclass(frozen=True)
class ModelContract:
    """How to feed a network and how to read what it says.

    The network's input is float32, shape (1, 3, input_height, input_width), ``(pixel - mean) / std``.

    Attributes:
        task: "detection" or "action".
        name: name of the model, published with every result.
        input_width: width of the network's input [px].
        input_height: height of the network's input [px].
        class_names: class_names[class_id].
        decoder: which decoder reads the outputs, one of `DECODERS`.
        decoder_options: constants of the decoder.
        color: order of the input's channels, "rgb" or "bgr".
        mean: subtracted from each channel, in 0..255 units, in the order of `color`.
        std: divides each channel, in 0..255 units, in the order of `color`.
        resize: "letterbox" (scale to fit, the aspect kept, and pad with `pad_value` around `pad_anchor`), "keep_ratio"
            (scale to fit, at the top left, padded with zeros after mean and std, as mmdetection does), "stretch" (fill
            the input, the aspect lost) or "short_side_crop" (short side to `resize_short_side`, then the centre).
        resize_short_side: short side before the crop [px], for "short_side_crop" only.
        pad_value: value of a letterbox's padding in 0..255 units, before mean and std.
        pad_anchor: where the picture lies in a letterbox, "center" or "top_left".
        provenance: training data, seed, command, metrics.

    Raises:
        ModelError: a field is out of its range or contradicts another.
    """

    task: str
    name: str
    input_width: int
    input_height: int
    class_names: tuple[str, ...]
    decoder: str
    decoder_options: dict = field(default_factory=dict)
    color: str = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    resize: str = "letterbox"
    resize_short_side: int = 0
    pad_value: float = 114.0
    pad_anchor: str = "center"
    provenance: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_choice("task", TASKS)
        self._check_choice("color", COLORS)
        self._check_choice("resize", RESIZES)
        self._check_choice("pad_anchor", PAD_ANCHORS)
        self._check_choice("decoder", tuple(DECODERS))
        if not isinstance(self.name, str) or not self.name:
            raise ModelError(f"`name` must be a text that names the model, not {self.name!r}.")
        for side in ("input_width", "input_height"):
            self._check_size(side)
        self._check_decoder()
        self._check_class_names()
        object.__setattr__(self, "mean", self._three_numbers("mean"))
        object.__setattr__(self, "std", self._three_numbers("std"))
        if min(self.std) <= 0:
            raise ModelError(f"`std` must be above 0 in every channel (it divides), not {self.std}.")
        if not _is_number(self.pad_value) or not 0 <= self.pad_value <= 255:
            raise ModelError(f"`pad_value` must lie in 0..255, not {self.pad_value!r}.")
        if self.resize == "short_side_crop":
            self._check_size("resize_short_side")
            if self.resize_short_side < max(self.input_width, self.input_height):
                raise ModelError(
                    f"`resize_short_side` {self.resize_short_side} is smaller than the input of "
                    f"{self.input_width}x{self.input_height} that is to be cropped from it. Set it to at least "
                    f"{max(self.input_width, self.input_height)}."
                )
        if not isinstance(self.provenance, dict):
            raise ModelError(f"`provenance` must be a mapping, not {self.provenance!r}.")

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise ModelError(f"Unknown `{name}` {value!r}. Known are: {', '.join(choices)}.")

    def _check_size(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 16384:
            raise ModelError(f"`{name}` must be a whole number of pixels from 1 to 16384, not {value!r}.")

    def _check_decoder(self) -> None:
        if not isinstance(self.decoder_options, dict):
            raise ModelError(f"`decoder_options` must be a mapping, not {self.decoder_options!r}.")
        task, needed = DECODERS[self.decoder]
        if task != self.task:
            raise ModelError(f"Decoder {self.decoder!r} is for task {task!r}, but `task` is {self.task!r}.")
        missing = [option for option in needed if option not in self.decoder_options]
        if missing:
            raise ModelError(
                f"Decoder {self.decoder!r} needs `decoder_options` {', '.join(missing)}; "
                f"given are: {', '.join(self.decoder_options) or 'none'}."
            )
        strides = self.decoder_options.get("strides")
        is_list = isinstance(strides, (list, tuple)) and len(strides) > 0
        if strides is not None and not (is_list and all(_is_count(stride) for stride in strides)):
            raise ModelError(f"`strides` must be a list of whole numbers above 0 [px], not {strides!r}.")
        for option in ("reg_max", "segments", "feature_size"):
            value = self.decoder_options.get(option)
            if value is not None and not _is_count(value):
                raise ModelError(f"`{option}` must be a whole number above 0, not {value!r}.")
        for option in ("window_seconds", "tick_hz"):
            value = self.decoder_options.get(option)
            if value is not None and not (_is_number(value) and value > 0):
                raise ModelError(f"`{option}` must be a number above 0, not {value!r}.")

    def _check_class_names(self) -> None:
        if isinstance(self.class_names, str) or not all(isinstance(name, str) and name for name in self.class_names):
            raise ModelError(f"`class_names` must be a list of texts, not {self.class_names!r}.")
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if not self.class_names:
            raise ModelError("`class_names` is empty; a model needs at least one class.")

    def _three_numbers(self, name: str) -> tuple[float, float, float]:
        value = getattr(self, name)
        if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(_is_number(number) for number in value):
            raise ModelError(f"`{name}` must be three numbers, one a channel in the order of `color`, not {value!r}.")
        return tuple(float(number) for number in value)

    def to_dict(self) -> dict:
        """The contract as JSON-ready values."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict) -> ModelContract:
        """Build a contract from the values of a JSON or YAML file.

        Raises:
            ModelError: a field is unknown, missing or wrong.
        """
        if not isinstance(values, dict):
            raise ModelError(f"A contract must be a mapping of fields, not {type(values).__name__}.")
        known = [item.name for item in fields(cls)]
        unknown = sorted(set(values) - set(known), key=str)
        if unknown:
            raise ModelError(f"Unknown contract fields: {', '.join(map(str, unknown))}. Known are: {', '.join(known)}.")
        required = ("task", "name", "input_width", "input_height", "class_names", "decoder")
        missing = [name for name in required if name not in values]
        if missing:
            raise ModelError(f"The contract lacks the fields {', '.join(missing)}.")
        return cls(**{**values, "class_names": _as_sequence(values["class_names"])})


def _as_sequence(value: object) -> tuple | str:
    if isinstance(value, (list, tuple)):
        return tuple(value)
    raise ModelError(f"`class_names` must be a list of texts, not {value!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def read_contract(
    path: str | Path, contract_file: str | Path | None = None, allow_external_data: bool = False
) -> ModelContract:
    """Read the contract of an ONNX file and check it against the graph.

    Looked at in this order: ``contract_file``, the file's own metadata, ``<model>.yaml`` beside it, metadata of
    Ultralytics.

    Args:
        path: the ONNX file.
        contract_file: a YAML file to use instead of what the model carries.
        allow_external_data: accept a model whose weights lie in other files.

    Raises:
        ModelError: there is no contract, it is wrong, or it contradicts the graph.
    """
    path = Path(path)
    model = load_model(path, allow_external_data)
    contract, source = _find_contract(path, model, contract_file)
    check_graph(contract, input_shapes(model), output_shapes(model), where=f"{path} (contract from {source})")
    return contract


def write_contract(path: str | Path, contract: ModelContract) -> None:
    """Put a contract into an ONNX file's metadata, in one step. Other metadata stays.

    Args:
        path: the ONNX file; weights in other files are left where they are.
        contract: what to write.

    Raises:
        ModelError: the file is no ONNX, or the contract contradicts its graph.
    """
    path = Path(path)
    model = load_model(path, allow_external_data=True)
    check_graph(contract, input_shapes(model), output_shapes(model), where=str(path))
    kept = [(item.key, item.value) for item in model.metadata_props if item.key != METADATA_KEY]
    del model.metadata_props[:]
    for key, value in [*kept, (METADATA_KEY, json.dumps(contract.to_dict(), allow_nan=False))]:
        model.metadata_props.add(key=key, value=value)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _find_contract(path: Path, model: onnx.ModelProto, contract_file: str | Path | None) -> tuple[ModelContract, str]:
    metadata = {item.key: item.value for item in model.metadata_props}
    beside = path.with_suffix(".yaml")
    if contract_file is not None:
        return _from_yaml(Path(contract_file)), str(contract_file)
    if METADATA_KEY in metadata:
        return _from_json(path, metadata[METADATA_KEY]), "its metadata"
    if beside.is_file():
        return _from_yaml(beside), str(beside)
    if is_ultralytics(metadata):
        values = ultralytics_fields(path, metadata, input_shapes(model), output_shapes(model))
        return ModelContract.from_dict(values), "its Ultralytics metadata"
    raise ModelError(
        f"{path} carries no contract (metadata key {METADATA_KEY!r}, or that of Ultralytics), and {beside} does not "
        "exist. Write that YAML file: input size, colours, class names and decoder; docs/models.md shows one."
    )


def _from_json(path: Path, text: str) -> ModelContract:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(
            f"The metadata {METADATA_KEY!r} of {path} is not JSON: {error}. Export the model again."
        ) from error
    return _named(f"the metadata {METADATA_KEY!r} of {path}", values)


def _from_yaml(path: Path) -> ModelContract:
    """Read a YAML contract. ``class_names`` may be the name of a text file beside it, one class a line."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"The contract {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"The contract {path} is not YAML: {error}.") from error
    if isinstance(values, dict) and isinstance(values.get("class_names"), str):
        names = path.parent / values["class_names"]
        try:
            lines = names.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ModelError(f"The class names {names}, named in {path}, cannot be read: {error.strerror}.") from error
        values["class_names"] = [line.strip() for line in lines if line.strip()]
    return _named(str(path), values)


def _named(source: str, values: object) -> ModelContract:
    try:
        return ModelContract.from_dict(values)
    except ModelError as error:
        raise ModelError(f"Wrong contract in {source}: {error}") from error
