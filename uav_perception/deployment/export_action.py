"""Action networks as ONNX files that carry their contract.

The form `parts` holds LARMUV's two halves as independent parts of one graph, so that a runtime computes each frame's
features once. The clip form takes whole clips, for networks that cannot be cut.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import compose, helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from uav_perception.deployment.errors import DeploymentError
from uav_perception.deployment.half_storage import store_as_half
from uav_perception.files import replacing
from uav_perception.inference.contract import ModelContract, write_contract
from uav_perception.networks.larmuv import FEATURE_SIZE, Larmuv
from uav_perception.provenance import provenance
from uav_perception.training.action_model import ActionModel, load_action_checkpoint

FORMS = ("parts", "clip")
OPSET = 17
TOLERANCE = 1e-3  # largest difference of a logit or feature between ONNX Runtime and torch
_DEFAULT_WINDOW_SECONDS = 2.0


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """A copy with every batch norm that follows a convolution in a Sequential folded into it. Eval mode only."""
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for first, second in zip(list(module._modules), list(module._modules)[1:], strict=False):
            convolution, norm = module._modules[first], module._modules[second]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module._modules[first] = fuse_conv_bn_eval(convolution, norm)
                module._modules[second] = nn.Identity()
    return folded


def round_to_half(network: nn.Module) -> nn.Module:
    """Round every parameter, in place, to a number that float16 holds."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    return network


def _to_onnx(module: nn.Module, example: Tensor, inputs: str, outputs: str) -> onnx.ModelProto:
    """Trace one module, which must be in eval mode itself: after the export torch restores the mode it found.

    Gradients stay enabled: without them torch would take its fused encoder, which has no ONNX.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracer warns of shapes that become constants, which is wanted, and of its own age.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            buffer,
            input_names=[inputs],
            output_names=[outputs],
            dynamic_axes={inputs: {0: "batch"}, outputs: {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


class _Features(nn.Module):
    def __init__(self, network: Larmuv) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        return self.network.features(frames)


def _prefixed(model: onnx.ModelProto, prefix: str) -> onnx.GraphProto:
    """The graph with every inner name behind a prefix; the names of its input and output stay."""
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    graph = compose.add_prefix(model, prefix).graph
    for node in graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name.removeprefix(prefix) in kept:
                    names[at] = name.removeprefix(prefix)
    for value in (*graph.input, *graph.output):
        value.name = value.name.removeprefix(prefix)
    return graph


def _two_parts(network: Larmuv, size: int) -> onnx.ModelProto:
    """Both halves in one graph, with nothing in common."""
    backbone = _to_onnx(_Features(network).eval(), torch.zeros(2, 3, size, size), "frames", "features")
    head = _to_onnx(network.head, torch.zeros(2, network.segments, FEATURE_SIZE), "window", "logits")
    first, second = _prefixed(backbone, "backbone/"), _prefixed(head, "head/")
    graph = helper.make_graph(
        [*first.node, *second.node],
        "larmuv",
        [*first.input, *second.input],
        [*first.output, *second.output],
        [*first.initializer, *second.initializer],
    )
    return helper.make_model(graph, opset_imports=backbone.opset_import, ir_version=backbone.ir_version)


def _refuse_streaming(model: ActionModel) -> None:
    reasons = {
        "not LARMUV": model.name != "larmuv",
        "trained with temporal_shift": bool(model.options.get("temporal_shift")),
        "fed with frame differences": model.feed.frames_per_sample != 1,
    }
    reason = next((text for text, applies in reasons.items() if applies), None)
    if reason:
        raise DeploymentError(
            f"The form `parts` computes each frame alone, but this network is {reason}. Export it with form clip."
        )


def contract_of(
    model: ActionModel, name: str, tick_hz: float, window_seconds: float, record: dict[str, Any]
) -> ModelContract:
    """The contract of an exported network.

    Raises:
        DeploymentError: the network takes something else than single colour frames, which no node feeds.
    """
    feed = model.feed
    if feed.modality != "rgb" or feed.frames_per_sample != 1:
        raise DeploymentError(
            f"{model.name} takes {feed.modality}, {feed.frames_per_sample} frames a sample; a stream feeds single "
            "colour frames only."
        )
    return ModelContract(
        task="action",
        name=name,
        input_width=feed.size,
        input_height=feed.size,
        class_names=model.class_names,
        decoder="larmuv",
        decoder_options={
            "segments": feed.frames,
            "feature_size": FEATURE_SIZE,
            "window_seconds": window_seconds,
            "tick_hz": tick_hz,
        },
        color=feed.color,
        mean=feed.mean,
        std=feed.std,
        resize="short_side_crop",
        resize_short_side=feed.short_side,
        provenance=record,
    )


def export_network(
    network: nn.Module, model: ActionModel, contract: ModelContract, output: str | Path, form: str, half: bool
) -> float:
    """Write an ONNX file with its contract, and compare it with torch.

    With ``half`` the weights are rounded first, so that torch and the file hold the same numbers.

    Args:
        network: trained; not changed.
        model: its description.
        contract: what the file will say about itself.
        output: where to.
        form: "parts" or "clip".
        half: keep weights as float16, computed with as float32.

    Returns:
        The largest difference to torch over features and logits.

    Raises:
        DeploymentError: the network has no such form, or the file disagrees with torch by more than 1e-3.
    """
    if form not in FORMS:
        raise DeploymentError(f"The form is {form!r}; choose one of {', '.join(FORMS)}.")
    if form == "parts":
        _refuse_streaming(model)
    reference = fold_batch_norms(network.to("cpu", memory_format=torch.contiguous_format))
    if half:
        round_to_half(reference)
    if form == "parts":
        graph = _two_parts(reference, model.feed.size)
    else:
        example = torch.zeros(2, model.feed.frames, 3, model.feed.size, model.feed.size)
        graph = _to_onnx(reference, example, "clip", "logits")
    if half:
        graph = store_as_half(graph)
    onnx.checker.check_model(graph, full_check=True)
    with replacing(output) as temporary:
        onnx.save(graph, temporary)
        write_contract(temporary, contract)
        difference = difference_to_torch(temporary, reference, model, form)
        if difference > TOLERANCE:
            raise DeploymentError(f"The exported file differs from torch by {difference:.2e}, more than {TOLERANCE}.")
    return difference


def difference_to_torch(path: Path, network: nn.Module, model: ActionModel, form: str) -> float:
    """Run random clips through the file and through torch; the largest absolute difference."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.randn(3, model.feed.frames, 3, model.feed.size, model.feed.size, generator=generator)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        if form == "clip":
            pairs = [(network(clip), session.run(["logits"], {"clip": clip.numpy()})[0])]
        else:
            window, frames = network.window(clip), clip.flatten(0, 1)
            feeds = {"frames": frames.numpy(), "window": window.numpy()}
            features, logits = session.run(["features", "logits"], feeds)
            pairs = [(window.flatten(0, 1), features), (network.head(window), logits)]
    return max(float(np.abs(ours.numpy() - theirs).max()) for ours, theirs in pairs)


def export_action(
    path: str | Path,
    output: str | Path,
    name: str | None = None,
    form: str | None = None,
    half: bool = True,
    tick_hz: float = 5.0,
    window_seconds: float | None = None,
) -> ModelContract:
    """Export a training checkpoint.

    Args:
        path: the checkpoint. A ``result.json`` beside it (written by training) goes into the contract's provenance.
        output: the ONNX file.
        name: of the model, published with every result; by default the network's.
        form: "parts" (the default: two independent parts; LARMUV only) or "clip".
        half: keep weights as float16, computed with as float32.
        tick_hz: backbone passes a second that a stream should make [Hz].
        window_seconds: of the stream's window; by default what the network was trained on, or 2 s.

    Returns:
        The contract in the file.

    Raises:
        CheckpointError: not a checkpoint of an action network.
        DeploymentError: the network has no such form, or the file would not compute what the network does.
    """
    network, model = load_action_checkpoint(path)
    window_seconds = window_seconds or model.window_seconds or _DEFAULT_WINDOW_SECONDS
    contract = contract_of(model, name or model.name, tick_hz, window_seconds, _record(Path(path)))
    export_network(network, model, contract, output, form or FORMS[0], half)
    return contract


def _record(checkpoint: Path) -> dict[str, Any]:
    """What training wrote about its result, without the long tables."""
    result = checkpoint.with_name("result.json")
    if not result.is_file():
        return provenance()
    values = json.loads(result.read_text(encoding="utf-8"))
    return {key: value for key, value in values.items() if key not in {"confusion", "class_names", "recipe"}}
