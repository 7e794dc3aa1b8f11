"""From a recipe's data section to frame sources."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from uav_perception.datasets.action_formats import read_videos
from uav_perception.datasets.frame_source import FlowStore, FrameSource, FrameStore, VideoFiles
from uav_perception.datasets.video_list import VideoList
from uav_perception.networks.action_zoo import Feed
from uav_perception.training.action_recipe import DataRecipe
from uav_perception.training.errors import RecipeError


def videos_of(data: DataRecipe, part: str, split: int | None = None) -> VideoList:
    """The labelled videos of "train" or "test"; ``split`` overrides the recipe's."""
    options = dict(data.options)
    if split is not None:
        options["split"] = split
    videos = read_videos(data.format, data.root, part, data.background, **options)
    if part == "test" or not data.extra:
        return videos
    joined = list(videos.videos)
    for root in data.extra:
        for side in ("train", "test"):
            more = read_videos(data.format, root, side, None, **options)
            if more.class_names != videos.class_names[: len(more.class_names)]:
                raise RecipeError(
                    f"data.extra {root} has other classes than {data.root}: {', '.join(more.class_names)}."
                )
            joined += [replace(video, name=f"{root}/{video.name}") for video in more.videos]
    return VideoList(f"{videos.title} with {len(data.extra)} more", videos.class_names, tuple(joined))


def _slug(title: str) -> str:
    readable = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return f"{readable[:60]}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


def open_source(videos: VideoList, data: DataRecipe, feed: Feed) -> FrameSource:
    """The frames of a list, as the network's modality and the recipe's store want them."""
    folder = Path(data.cache) / _slug(f"{videos.title} {Path(data.root).expanduser().resolve()}")
    if feed.modality == "flow":
        return FlowStore(videos, folder / f"flow-{feed.short_side}", feed.short_side)
    if data.store == "frames":
        name = f"frames-{data.store_short_side}-{data.store_every}"
        return FrameStore(videos, folder / name, data.store_short_side, data.store_every)
    return VideoFiles(videos, folder / "frames.json")
