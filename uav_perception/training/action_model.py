"""An action network with everything needed to use it: how it is built, fed, and what its classes are called.

A training checkpoint holds the same under the key ``action_model``, beside ``format`` and its ``state_dict``, in plain
types only, so that it loads with ``weights_only=True``.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uav_perception.networks import action_zoo
from uav_perception.networks.action_zoo import Feed
from uav_perception.training.action_recipe import NetworkRecipe
from uav_perception.training.errors import CheckpointError, RecipeError

FORMAT = "uav_perception.action/1"
META_KEY = "action_model"
NETWORK_PREFIX = "network."


@dataclass(frozen=True)
class ActionModel:
    """Attributes:
    name: of the zoo.
    options: LARMUV's.
    class_names: in label order.
    feed: how it is fed.
    window_seconds: length of the sub-windows it was trained on; 0: whole videos.
    """

    name: str
    options: dict[str, Any]
    class_names: tuple[str, ...]
    feed: Feed
    window_seconds: float = 0.0

    def build(self) -> nn.Module:
        """The network with random weights."""
        return action_zoo.build(self.name, len(self.class_names), self.feed.frames, **self.options)

    def to_plain(self) -> dict[str, Any]:
        """For a checkpoint: dictionaries, lists, numbers and text only."""
        plain = asdict(self)
        plain["class_names"] = list(self.class_names)
        plain["feed"] = {
            key: list(value) if isinstance(value, tuple) else value for key, value in plain["feed"].items()
        }
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ActionModel:
        """The inverse of `to_plain`."""
        feed = {key: tuple(value) if isinstance(value, list) else value for key, value in plain["feed"].items()}
        return cls(
            plain["name"], dict(plain["options"]), tuple(plain["class_names"]), Feed(**feed), plain["window_seconds"]
        )


def model_of(recipe: NetworkRecipe, class_names: tuple[str, ...], window_seconds: float = 0.0) -> ActionModel:
    """The model that a recipe asks for; sizes that it leaves at 0 are the published ones."""
    feed = action_zoo.default_feed(recipe.name, str(recipe.options.get("input", "rgb")))
    changes: dict[str, int] = {}
    if recipe.segments:
        changes["frames"] = recipe.segments
    if recipe.size:
        changes["size"] = recipe.size
    if recipe.short_side or recipe.size:
        changes["short_side"] = recipe.short_side or round(recipe.size * 256 / 224)
    feed = replace(feed, **changes)
    if feed.short_side < feed.size:
        raise RecipeError(f"network.short_side {feed.short_side} is smaller than network.size {feed.size}.")
    return ActionModel(recipe.name, dict(recipe.options), class_names, feed, window_seconds)


def normalise(clips: Tensor, feed: Feed) -> Tensor:
    """uint8 clips (..., C * n, S, S) to float32, (pixel - mean) / std; n frames a sample repeat the channels."""
    mean = torch.tensor(feed.mean * feed.frames_per_sample, device=clips.device)[:, None, None]
    std = torch.tensor(feed.std * feed.frames_per_sample, device=clips.device)[:, None, None]
    return (clips.float() - mean) / std


def load_action_checkpoint(path: str | Path) -> tuple[nn.Module, ActionModel]:
    """The network of a training checkpoint, in eval mode.

    Raises:
        CheckpointError: no such file, or not a checkpoint of an action network.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"The checkpoint {path} does not exist. Train it first, or correct the path.")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint: {error}") from error
    found = loaded.get("format") if isinstance(loaded, dict) else None
    if found != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of an action network: its format is {found!r}, not {FORMAT!r}."
        )
    model = ActionModel.from_plain(loaded[META_KEY])
    network = model.build()
    state = {
        key[len(NETWORK_PREFIX) :]: value
        for key, value in loaded["state_dict"].items()
        if key.startswith(NETWORK_PREFIX)
    }
    network.load_state_dict(state)
    return network.eval(), model
