"""Weights kept as float16 in an ONNX file and computed with as float32: half the file, the same arithmetic."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_SMALLEST = 1024  # elements; below this a Cast costs more than it saves


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace large float32 initializers by float16 ones with a Cast to float32. Engines fold the Cast when they load.

    Args:
        model: not changed.

    Returns:
        A copy. Numbers that float16 cannot hold exactly are rounded.

    Raises:
        OverflowError: a weight is beyond float16's range (65504).
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _SMALLEST:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise OverflowError(f"Weight {tensor.name} holds {np.abs(values).max():g}, more than float16 can.")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *copy.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy
