"""Contracts: round trips, every refusal with its values, YAML, Ultralytics, contradictions with the graph."""

import json
import stat
from dataclasses import replace

import numpy as np
import onnx
import pytest
import yaml

from uav_perception.inference.contract import METADATA_KEY, ModelContract, read_contract, write_contract
from uav_perception.inference.errors import ModelError
from uav_perception.resources import resource

BASE = {
    "task": "detection", "name": "test", "input_width": 64, "input_height": 32, "class_names": ["person", "car"],
    "decoder": "yolo",
}  # fmt: skip
YOLO = {"output0": np.zeros((1, 6, 168), np.float32)}


def contract(**changes) -> ModelContract:
    return ModelContract.from_dict({**BASE, **changes})


def test_a_contract_survives_its_own_file(save):
    path = save("model", YOLO, metadata={"author": "somebody"})
    written = contract(
        mean=[1.5, 2, 3], std=[4, 5, 6], color="bgr", resize="stretch", provenance={"seed": 3, "AP": 0.25}
    )
    write_contract(path, written)
    assert read_contract(path) == written
    assert {item.key: item.value for item in onnx.load(str(path)).metadata_props}["author"] == "somebody"
    write_contract(path, replace(written, name="again"))
    assert read_contract(path).name == "again"
    assert [path.name for path in path.parent.iterdir()] == ["model.onnx"]


def test_defaults_are_those_of_the_design():
    values = contract()
    assert (values.color, values.resize, values.pad_value, values.pad_anchor) == ("rgb", "letterbox", 114.0, "center")
    assert (values.mean, values.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "pose"}, "Unknown `task` 'pose'. Known are: detection, action"),
        (
            {"decoder": "ssd"},
            "Unknown `decoder` 'ssd'. Known are: gfl, fcos, atss, yolox, yolo, yolo_end_to_end, rtdetr",
        ),
        ({"color": "yuv"}, "Unknown `color` 'yuv'"),
        ({"resize": "squash"}, "Unknown `resize` 'squash'"),
        ({"pad_anchor": "middle"}, "Unknown `pad_anchor` 'middle'"),
        ({"name": ""}, "`name` must be a text"),
        ({"input_width": 0}, "`input_width` must be a whole number of pixels from 1 to 16384, not 0"),
        ({"input_height": 384.0}, "`input_height` must be a whole number of pixels .* not 384.0"),
        ({"class_names": []}, "`class_names` is empty"),
        ({"class_names": "person"}, "`class_names` must be a list of texts, not 'person'"),
        ({"class_names": ["car", 3]}, "`class_names` must be a list of texts"),
        ({"mean": [1, 2]}, r"`mean` must be three numbers.* not \[1, 2\]"),
        ({"mean": [1, 2, float("nan")]}, "`mean` must be three numbers"),
        ({"std": [1, 0, 1]}, "`std` must be above 0"),
        ({"pad_value": 300}, "`pad_value` must lie in 0..255, not 300"),
        ({"decoder": "gfl"}, "'gfl' needs `decoder_options` strides, reg_max; given are: none"),
        ({"decoder": "gfl", "decoder_options": {"strides": [8, 0], "reg_max": 16}}, r"`strides` .* not \[8, 0\]"),
        ({"decoder": "gfl", "decoder_options": {"strides": [8], "reg_max": 1.5}}, "`reg_max` must be .* not 1.5"),
        ({"decoder": "larmuv"}, "'larmuv' is for task 'action', but `task` is 'detection'"),
        ({"resize": "short_side_crop"}, "`resize_short_side` must be a whole number .* not 0"),
        ({"resize": "short_side_crop", "resize_short_side": 40}, "40 is smaller than the input of 64x32"),
        ({"provenance": "me"}, "`provenance` must be a mapping"),
        ({"decoder_options": [1]}, "`decoder_options` must be a mapping"),
        ({"colour": "rgb"}, "Unknown contract fields: colour. Known are: task, name"),
    ],
)
def test_wrong_fields_are_named_with_their_value(changes, message):
    with pytest.raises(ModelError, match=message):
        contract(**changes)


def test_missing_fields_are_listed():
    with pytest.raises(ModelError, match="lacks the fields task, class_names"):
        ModelContract.from_dict({key: value for key, value in BASE.items() if key not in ("task", "class_names")})


def test_yaml_beside_a_foreign_model(save):
    path = save("foreign", YOLO)
    with pytest.raises(ModelError, match=r"carries no contract .*foreign.yaml does not exist"):
        read_contract(path)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(BASE))
    assert read_contract(path) == contract()
    names = path.with_name("classes.txt")
    names.write_text("person\n\n car \n")
    path.with_suffix(".yaml").write_text(yaml.safe_dump({**BASE, "class_names": "classes.txt"}))
    assert read_contract(path).class_names == ("person", "car")
    names.unlink()
    with pytest.raises(ModelError, match=r"classes.txt, named in .*foreign.yaml, cannot be read"):
        read_contract(path)


def test_a_contract_file_that_is_named_comes_first(save, tmp_path):
    path = save("model", YOLO)
    write_contract(path, contract())
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**BASE, "name": "other"}))
    assert read_contract(path, other).name == "other"
    with pytest.raises(ModelError, match=r"none.yaml cannot be read"):
        read_contract(path, tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is not YAML"), ("- 1\n", "must be a mapping of fields, not list"), ("task: x", "lacks the fields name")],
)
def test_damaged_yaml(save, text, message):
    path = save("model", YOLO)
    path.with_suffix(".yaml").write_text(text)
    with pytest.raises(ModelError, match=message):
        read_contract(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), (json.dumps({**BASE, "task": "pose"}), "Wrong contract in the metadata .* Unknown `task`")],
)
def test_damaged_metadata(save, text, message):
    with pytest.raises(ModelError, match=message):
        read_contract(save("model", YOLO, metadata={METADATA_KEY: text}))


def test_missing_truncated_and_empty_files(save, tmp_path):
    with pytest.raises(ModelError, match=r"nowhere.onnx does not exist"):
        read_contract(tmp_path / "nowhere.onnx")
    path = save("model", {"output0": np.random.default_rng(0).random((1, 6, 168), np.float32)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"\d+ bytes\) is not a whole ONNX file"):
        read_contract(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"\(0 bytes\) holds no network"):
        read_contract(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match=r"model\.onnx"):
        read_contract(path)


def test_weights_in_other_files_are_refused_unless_allowed(save):
    path = save("model", {"output0": np.zeros((1, 6, 168), np.float32)})
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(BASE))
    with pytest.raises(ModelError, match=r"keeps \d weights in other files .* refused by default"):
        read_contract(path)
    assert read_contract(path, allow_external_data=True) == contract()


GFL = {"class_scores": np.zeros((1, 42, 2), np.float32), "distributions": np.zeros((1, 42, 68), np.float32)}
GFL_FIELDS = {"decoder": "gfl", "decoder_options": {"strides": [8, 16], "reg_max": 16}}  # 4*8 + 2*4 = 40 cells


@pytest.mark.parametrize(
    ("outputs", "changes", "message"),
    [
        (YOLO, {"input_width": 96}, r"width of input 'images' is 96 in the contract, but 64 in the graph \(shape"),
        (YOLO, {"input_height": 64}, "height of input 'images' is 64 in the contract, but 32 in the graph"),
        (YOLO, {"class_names": ["a", "b", "c"]}, r"4 \+ 3 classes\) is 7 in the contract, but 6 in the graph"),
        (YOLO, {"decoder": "yolo_end_to_end"}, r"number of columns .* is 6 in the contract, but 168 in the graph"),
        (YOLO, {"decoder": "rtdetr"}, r"4 \+ 2 classes\) is 6 in the contract, but 168"),
        (YOLO, GFL_FIELDS, "needs an output named 'class_scores', but the graph has output0"),
        (YOLO, {"decoder": "yolox", "decoder_options": {"strides": [8]}}, r"5 \+ 2 classes\) is 7 in the contract"),
        (GFL, GFL_FIELDS, "number of cells of output 'class_scores' is 40 in the contract, but 42 in the graph"),
        (GFL, {**GFL_FIELDS, "class_names": ["a"]}, "number of classes is 1 in the contract, but 2 in the graph"),
        (GFL, {"decoder": "gfl", "decoder_options": {"strides": [8], "reg_max": 15}}, r"4 \* \(reg_max \+ 1\), is 64"),
        (
            {"class_scores": GFL["class_scores"], "centerness": np.zeros((1, 42, 1), np.float32)},
            {"decoder": "fcos", "decoder_options": {"strides": [8]}},
            "needs the box output 'distributions', 'distances' or 'deltas'",
        ),
    ],
)  # fmt: skip
def test_contradictions_name_both_values(save, outputs, changes, message):
    path = save("model", outputs)
    with pytest.raises(ModelError, match=message):
        write_contract(path, contract(**changes))
    path.with_suffix(".yaml").write_text(yaml.safe_dump({**BASE, **changes}))
    with pytest.raises(ModelError, match=message):
        read_contract(path)


def test_a_model_without_a_picture_input_is_no_detector(save):
    path = save("model", YOLO, inputs={"x": (1, 10)})
    with pytest.raises(ModelError, match=r"needs one picture input of 4 dimensions .* graph has x \(1, 10\)"):
        write_contract(path, contract())


ACTION = {
    "task": "action", "name": "larmuv", "input_width": 64, "input_height": 32, "class_names": ["walk", "run"],
    "decoder": "larmuv", "decoder_options": {"segments": 3, "feature_size": 5, "window_seconds": 2.5, "tick_hz": 6},
}  # fmt: skip
ACTION_INPUTS = {"frames": ("B", 3, 32, 64), "window": ("B", 3, 5)}
ACTION_OUTPUTS = {"features": np.zeros((1, 5), np.float32), "logits": np.zeros((1, 2), np.float32)}


def test_an_action_model(save):
    path = save("action", ACTION_OUTPUTS, inputs=ACTION_INPUTS)
    write_contract(path, ModelContract.from_dict(ACTION))
    assert read_contract(path).decoder_options["tick_hz"] == 6
    for change, message in [
        ({"segments": 4}, "number of segments of input 'window' is 4 in the contract, but 3"),
        ({"feature_size": 6}, "feature size of input 'window' is 6 in the contract, but 5"),
        ({"tick_hz": 0}, "`tick_hz` must be a number above 0, not 0"),
    ]:
        with pytest.raises(ModelError, match=message):
            options = {**ACTION["decoder_options"], **change}
            write_contract(path, ModelContract.from_dict({**ACTION, "decoder_options": options}))
    with pytest.raises(ModelError, match="number of classes is 1 in the contract, but 2"):
        write_contract(path, ModelContract.from_dict({**ACTION, "class_names": ["walk"]}))


def ultralytics(**changes) -> dict[str, str]:
    metadata = {
        "description": "Ultralytics YOLO11n model trained on coco.yaml", "author": "Ultralytics", "version": "8.4.0",
        "stride": "32", "task": "detect", "batch": "1", "imgsz": "[32, 64]", "names": "{0: 'person', 1: 'car'}",
        "args": "{'batch': 1, 'nms': False}", "end2end": "False",
    }  # fmt: skip
    return {**metadata, **changes}


@pytest.mark.parametrize(
    ("shape", "changes", "decoder", "resize"),
    [
        ((1, 6, 168), {}, "yolo", "letterbox"),
        ((1, 300, 6), {"end2end": "True"}, "yolo_end_to_end", "letterbox"),
        ((1, 300, 6), {"args": "{'nms': True}"}, "yolo_end_to_end", "letterbox"),
        ((1, 300, 6), {"description": "Ultralytics RT-DETR-l model"}, "rtdetr", "stretch"),
        ((1, 300, 6), {"head": "RTDETRDecoder"}, "rtdetr", "stretch"),
        ((1, 300, 7), {"names": "{0: 'a', 1: 'b', 2: 'c'}"}, "rtdetr", "stretch"),
        ((1, 7, 168), {"names": "['a', 'b', 'c']"}, "yolo", "letterbox"),
    ],
)
def test_ultralytics_metadata_is_understood(save, shape, changes, decoder, resize):
    path = save("yolo11n", {"output0": np.zeros(shape, np.float32)}, metadata=ultralytics(**changes))
    read = read_contract(path)
    assert (read.decoder, read.resize, read.name) == (decoder, resize, "yolo11n")
    assert (read.input_width, read.input_height) == (64, 32)
    assert (read.mean, read.std, read.color) == ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0), "rgb")
    assert read.class_names[0] in ("person", "a")


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 6, 168), {"task": "segment"}, "for task 'segment'; only 'detect'"),
        ((1, 9, 168), {}, r"shape \(1, 9, 168\), but its metadata names 2 classes: expected \(1, 6, N\)"),
        ((1, 6, 168), {"imgsz": "[64, 64]"}, "height of input 'images' is 64 in the contract, but 32 in the graph"),
        ((1, 6, 168), {"imgsz": "large"}, "'imgsz' of .* cannot be read: 'large'"),
        ((1, 6, 168), {"names": "{0: 'a', 2: 'b'}"}, r"must run from 0 without a gap, not \[0, 2\]"),
        ((6, 168), {}, "a detector of Ultralytics gives three dimensions"),
    ],
)
def test_ultralytics_metadata_that_does_not_fit(save, shape, changes, message):
    path = save("yolo11n", {"output0": np.zeros(shape, np.float32)}, metadata=ultralytics(**changes))
    with pytest.raises(ModelError, match=message):
        read_contract(path)


def test_a_graph_with_free_dimensions_takes_the_sizes_of_its_metadata(save):
    outputs = {"output0": np.zeros((1, 6, 168), np.float32)}
    inputs = {"images": ("batch", 3, "height", "width")}
    path = save("dynamic", outputs, inputs=inputs, metadata=ultralytics(), free={"output0": ("batch", 6, "anchors")})
    assert read_contract(path).input_width == 64


def test_the_shipped_yolox_contract_fits_the_real_model(media):
    contract_file = resource("config", "contracts", "yolox_coco.yaml")
    assert len(read_contract(media / "detectors" / "yolox_nano.onnx", contract_file).class_names) == 80


def test_a_read_only_folder_is_no_reason_to_lose_the_model(save):
    path = save("model", YOLO)
    before = path.read_bytes()
    with pytest.raises(ModelError):
        write_contract(path, contract(input_width=96))
    assert path.read_bytes() == before
    assert stat.S_ISREG(path.stat().st_mode)
