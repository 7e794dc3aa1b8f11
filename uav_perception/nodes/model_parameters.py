"""The parameters of every node that runs a model."""

from __future__ import annotations

from pathlib import Path

from uav_perception.inference.backends import BACKENDS, PRECISIONS, BackendOptions
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.parameters import Parameter, Parameters
from uav_perception.resources import share_directory

MODEL_PARAMETERS = (
    Parameter(
        "model",
        "",
        "Path of the ONNX model, or the name of one in the package's models/.",
        change="unconfigured",
    ),
    Parameter(
        "contract",
        "",
        "YAML contract of a foreign ONNX; empty: the model's own metadata, or the YAML beside it.",
        change="unconfigured",
    ),
    Parameter("backend", "onnxruntime", "Inference engine.", choices=BACKENDS, change="unconfigured"),
    Parameter(
        "threads",
        0,
        "CPU threads of one inference; 0: the engine chooses.",
        minimum=0,
        maximum=256,
        change="unconfigured",
    ),
    Parameter(
        "allow_spinning",
        True,
        "ONNX Runtime's threads wait actively: half the latency of small networks for three times the CPU.",
        change="unconfigured",
    ),
    Parameter("precision", "fp32", "Precision of TensorRT engines.", choices=PRECISIONS, change="unconfigured"),
)


def backend_options(parameters: Parameters) -> BackendOptions:
    """The engine's options out of a node's parameters."""
    return BackendOptions(
        threads=parameters["threads"],
        allow_spinning=parameters["allow_spinning"],
        precision=parameters["precision"],
    )


def find_model(value: str, what: str) -> Path:
    """The model file that a parameter names.

    Args:
        value: the parameter's text.
        what: the kind of model, for the message.

    Raises:
        NodeError: nothing is named, or there is no such file.
    """
    if not value:
        raise NodeError(f"no {what} model is named. Set the parameter `model` to the path of an ONNX file.")
    path = Path(value).expanduser()
    shipped = share_directory() / "models" / value
    for candidate in (path, shipped):
        if candidate.is_file():
            return candidate.resolve()
    raise NodeError(
        f"the {what} model {path.absolute()} does not exist (nor does {shipped}). Check the parameter `model`."
    )
