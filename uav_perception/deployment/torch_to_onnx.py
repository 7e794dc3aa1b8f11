"""Writing a torch module as an ONNX file, and checking that ONNX Runtime computes the same."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from uav_perception.deployment.errors import DeploymentError

OPSET = 17


def write_onnx(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    path: str | Path,
    input_names: list[str],
    output_names: list[str],
    dynamic_axes: dict[str, dict[int, str]] | None = None,
) -> None:
    """Trace a module in evaluation mode and write it; not atomic, so give a temporary path.

    The tracing exporter is used: it needs no further package and its graphs are what TensorRT and OpenVINO know best.

    Args:
        module: returns a tensor or a tuple of tensors. It is left in evaluation mode.
        examples: inputs to trace with; their sizes become fixed unless named in ``dynamic_axes``.
        path: where to.
        input_names, output_names: names in the graph.
        dynamic_axes: free dimensions by input or output name.
    """
    # The exporter restores the mode of the outermost module on all its children, so it must be right beforehand.
    module = module.eval()
    kwargs = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings(), torch.no_grad():
        # Sizes that are constant by design, and the notice that another exporter exists.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            examples,
            str(path),
            input_names=input_names,
            output_names=output_names,
            dynamic_axes=dynamic_axes,
            opset_version=OPSET,
            **kwargs,
        )


def largest_difference(module: nn.Module, examples: tuple[Tensor, ...], path: str | Path) -> dict[str, float]:
    """Largest absolute difference between torch and ONNX Runtime on the CPU, for each output.

    Args:
        module: returns a tensor or a tuple of tensors.
        examples: inputs, in the order of the graph's inputs.
        path: the ONNX file.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {node.name: x.numpy() for node, x in zip(session.get_inputs(), examples, strict=True)}
    with torch.no_grad():
        expected = module.eval()(*examples)
    expected = (expected,) if isinstance(expected, Tensor) else expected
    return {
        node.name: float(np.abs(found - wanted.numpy()).max())
        for node, found, wanted in zip(session.get_outputs(), session.run(None, feeds), expected, strict=True)
    }


def check_equal(module: nn.Module, examples: tuple[Tensor, ...], path: str | Path, tolerance: float = 1e-3) -> None:
    """Compare torch and ONNX Runtime.

    Raises:
        DeploymentError: an output differs by more than the tolerance.
    """
    for name, difference in largest_difference(module, examples, path).items():
        if not difference <= tolerance:
            raise DeploymentError(
                f"ONNX Runtime's {name} differs from torch by {difference:.3g} (allowed: {tolerance:g}); "
                "the model was not exported. Try another version of torch or onnxruntime."
            )
