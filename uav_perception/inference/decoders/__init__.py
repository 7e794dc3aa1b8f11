"""Decoders: what a network says, as boxes in pixels of its input. One family of outputs a file.

A decoder is made from a contract and is then a function of the outputs by name. It applies the score threshold first
and computes the boxes of the survivors only.
"""

from __future__ import annotations

from collections.abc import Callable

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.atss import AtssDecoder
from uav_perception.inference.decoders.candidates import Candidates, Outputs
from uav_perception.inference.decoders.fcos import FcosDecoder
from uav_perception.inference.decoders.gfl import GflDecoder
from uav_perception.inference.decoders.rtdetr import RtdetrDecoder
from uav_perception.inference.decoders.yolo import YoloDecoder
from uav_perception.inference.decoders.yolo_end_to_end import YoloEndToEndDecoder
from uav_perception.inference.decoders.yolox import YoloxDecoder
from uav_perception.inference.errors import ModelError

Decoder = Callable[[Outputs, float], Candidates]

_MAKERS: dict[str, Callable[[ModelContract], Decoder]] = {
    "gfl": GflDecoder,
    "fcos": FcosDecoder,
    "atss": AtssDecoder,
    "yolox": YoloxDecoder,
    "yolo": YoloDecoder,
    "yolo_end_to_end": YoloEndToEndDecoder,
    "rtdetr": RtdetrDecoder,
}

# Their networks have already chosen one box an object.
WITHOUT_NMS = frozenset({"yolo_end_to_end", "rtdetr"})


def make_decoder(contract: ModelContract) -> Decoder:
    """The decoder that a contract names.

    Returns:
        A function ``decode(outputs, score_threshold)`` that gives `Candidates`; ``outputs`` maps names to arrays of
        batch 1.

    Raises:
        ModelError: the contract is of another task.
    """
    if contract.decoder not in _MAKERS:
        raise ModelError(
            f"Model {contract.name!r} is for task {contract.task!r} (decoder {contract.decoder!r}) and finds no "
            f"objects; a detector has one of the decoders {', '.join(_MAKERS)}."
        )
    return _MAKERS[contract.decoder](contract)
