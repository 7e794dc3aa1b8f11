"""Does a contract fit the graph it comes with? Says so before the first image, with both values in the message."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from uav_perception.inference.errors import ModelError
from uav_perception.inference.model_file import Shape

if TYPE_CHECKING:
    from uav_perception.inference.contract import ModelContract

# The last dimension of every output of the dense heads is checked by name.
_DENSE_HEADS = {
    "gfl": ("class_scores", "distributions"),
    "fcos": ("class_scores", "centerness"),
    "atss": ("class_scores", "centerness"),
}


def check_graph(contract: ModelContract, inputs: dict[str, Shape], outputs: dict[str, Shape], where: str) -> None:
    """Compare a contract with the shapes of the graph. A free dimension fits everything.

    Args:
        contract: what the model says about itself.
        inputs: name and shape of each input.
        outputs: name and shape of each output.
        where: names the model in messages.

    Raises:
        ModelError: the contract contradicts the graph; both values are named.
    """
    check = _Checker(where)
    if contract.decoder == "larmuv":
        _check_action(contract, inputs, outputs, check)
    else:
        _check_detector(contract, inputs, outputs, check)


class _Checker:
    def __init__(self, where: str) -> None:
        self._where = where

    def fail(self, message: str) -> None:
        raise ModelError(f"{self._where}: {message}")

    def dimension(self, shape: Shape, index: int, expected: int, what: str) -> None:
        if len(shape) > index and shape[index] is not None and shape[index] != expected:
            self.fail(f"{what} is {expected} in the contract, but {shape[index]} in the graph (shape {_text(shape)}).")

    def rank(self, shape: Shape, rank: int, what: str) -> None:
        if shape and len(shape) != rank:
            self.fail(f"{what} must have {rank} dimensions, but has shape {_text(shape)} in the graph.")

    def named(self, shapes: dict[str, Shape], name: str, what: str) -> Shape:
        if name not in shapes:
            self.fail(f"the contract needs an {what} named {name!r}, but the graph has {', '.join(shapes) or 'none'}.")
        return shapes[name]

    def picture(self, contract: ModelContract, shape: Shape, what: str) -> None:
        first = len(shape) - 3
        self.dimension(shape, first, 3, f"number of channels of {what}")
        self.dimension(shape, first + 1, contract.input_height, f"height of {what}")
        self.dimension(shape, first + 2, contract.input_width, f"width of {what}")


def _check_action(
    contract: ModelContract, inputs: dict[str, Shape], outputs: dict[str, Shape], check: _Checker
) -> None:
    options = contract.decoder_options
    if "clip" in inputs:
        clip = inputs["clip"]
        check.rank(clip, 5, "input 'clip'")
        check.dimension(clip, 1, options["segments"], "number of segments of input 'clip'")
        check.picture(contract, clip, "input 'clip'")
    else:
        frames = check.named(inputs, "frames", "input")
        window = check.named(inputs, "window", "input")
        features = check.named(outputs, "features", "output")
        check.rank(frames, 4, "input 'frames'")
        check.rank(window, 3, "input 'window'")
        check.picture(contract, frames, "input 'frames'")
        check.dimension(window, 1, options["segments"], "number of segments of input 'window'")
        check.dimension(window, 2, options["feature_size"], "feature size of input 'window'")
        check.dimension(features, 1, options["feature_size"], "feature size of output 'features'")
    logits = check.named(outputs, "logits", "output")
    check.dimension(logits, 1, len(contract.class_names), "number of classes")


def _check_detector(
    contract: ModelContract, inputs: dict[str, Shape], outputs: dict[str, Shape], check: _Checker
) -> None:
    pictures = {name: shape for name, shape in inputs.items() if len(shape) == 4}
    if len(pictures) != 1:
        shapes = ", ".join(f"{name} {_text(shape)}" for name, shape in inputs.items()) or "none"
        check.fail(f"a detector needs one picture input of 4 dimensions (1, 3, H, W), but the graph has {shapes}.")
    (name, shape), *_ = pictures.items()
    check.dimension(shape, 0, 1, f"batch of input {name!r}")
    check.picture(contract, shape, f"input {name!r}")
    classes = len(contract.class_names)
    if contract.decoder in _DENSE_HEADS:
        _check_dense(contract, outputs, check, classes)
    elif contract.decoder == "rtdetr":
        _check_rtdetr(outputs, check, classes)
    else:
        output = next(iter(outputs.values()))
        check.rank(output, 3, f"the first output of decoder {contract.decoder!r}")
        if contract.decoder == "yolox":
            check.dimension(output, 2, 5 + classes, f"number of output channels (5 + {classes} classes)")
            check.dimension(output, 1, _cells(contract), "number of cells")
        elif contract.decoder == "yolo":
            check.dimension(output, 1, 4 + classes, f"number of output channels (4 + {classes} classes)")
        else:
            check.dimension(output, 2, 6, "number of columns (x_min, y_min, x_max, y_max, score, class)")


def _check_dense(contract: ModelContract, outputs: dict[str, Shape], check: _Checker, classes: int) -> None:
    for name in _DENSE_HEADS[contract.decoder]:
        check.named(outputs, name, "output")
    check.dimension(outputs["class_scores"], 2, classes, "number of classes")
    regressions = [name for name in ("distributions", "distances", "deltas") if name in outputs]
    if not regressions:
        check.fail(f"decoder {contract.decoder!r} needs the box output 'distributions', 'distances' or 'deltas'.")
    if "distributions" in outputs:
        if "reg_max" not in contract.decoder_options:
            check.fail("the output 'distributions' needs `reg_max` in `decoder_options`.")
        channels = 4 * (contract.decoder_options["reg_max"] + 1)
        check.dimension(
            outputs["distributions"], 2, channels, "number of channels of 'distributions', 4 * (reg_max + 1),"
        )
    for name, shape in outputs.items():
        check.rank(shape, 3, f"output {name!r}")
        check.dimension(shape, 1, _cells(contract), f"number of cells of output {name!r}")


def _check_rtdetr(outputs: dict[str, Shape], check: _Checker, classes: int) -> None:
    if "logits" in outputs or "pred_logits" in outputs:
        name = "logits" if "logits" in outputs else "pred_logits"
        check.named(outputs, "pred_boxes", "output")
        check.dimension(outputs[name], 2, classes, "number of classes")
    elif "labels" in outputs:
        check.named(outputs, "boxes", "output")
        check.named(outputs, "scores", "output")
    else:
        output = next(iter(outputs.values()))
        check.rank(output, 3, "the output of decoder 'rtdetr'")
        check.dimension(output, 2, 4 + classes, f"number of output channels (4 + {classes} classes)")


def _cells(contract: ModelContract) -> int:
    return sum(
        math.ceil(contract.input_height / stride) * math.ceil(contract.input_width / stride)
        for stride in contract.decoder_options["strides"]
    )


def _text(shape: Shape) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"
