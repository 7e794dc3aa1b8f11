"""A small world for the tests: textured flat ground, objects that walk and drive on it, a pinhole camera that flies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from uav_perception.inference.detections import Detections

WIDTH, HEIGHT, FOCAL = 640, 384, 520.0
INTRINSICS = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]])
METRES_PER_TEXEL = 0.06
TEXTURE_SIDE = 2600


@dataclass
class SceneImage:
    stamp_ns: int
    detections: Detections
    truth_of: np.ndarray  # index of the object behind every detection, -1 for a false one
    truth_boxes: np.ndarray
    image: np.ndarray | None
    rotation: np.ndarray  # world to optical frame
    place: np.ndarray  # of the camera
    ground: np.ndarray  # ground plane (x, y, 1) to pixels


def look(yaw: float, down: float, roll: float = 0.0) -> np.ndarray:
    """Rotation from the world (east, north, up) to the optical frame (right, down, ahead)."""
    ahead = np.array([np.cos(down) * np.cos(yaw), np.cos(down) * np.sin(yaw), -np.sin(down)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    below = np.cross(ahead, right)
    turn = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1.0]])
    return turn @ np.stack([right, below, ahead])


def texture(rng: np.random.Generator) -> np.ndarray:
    fine = rng.integers(0, 256, (TEXTURE_SIDE // 4, TEXTURE_SIDE // 4, 3), np.uint8)
    coarse = rng.integers(0, 256, (TEXTURE_SIDE // 40, TEXTURE_SIDE // 40, 3), np.uint8)
    side = (TEXTURE_SIDE, TEXTURE_SIDE)
    return cv2.addWeighted(cv2.resize(fine, side), 0.5, cv2.resize(coarse, side), 0.5, 0)


def camera_path(kind: str, seconds: float, rng: np.random.Generator, shake: float):
    """Position and attitude at a time. ``shake`` [rad] is the amplitude of a wobble of a few Hz."""
    phases = rng.uniform(0, 2 * np.pi, 6)
    wobble = shake * np.sin(2 * np.pi * np.array([1.3, 0.9, 1.7]) * seconds + phases[:3])
    if kind == "still":
        place, yaw = np.array([0.0, -25.0, 25.0]), np.pi / 2
    elif kind == "hover":
        place = np.array([0.0, -25.0, 25.0]) + 0.6 * np.sin(0.8 * seconds + phases[3:])
        yaw = np.pi / 2 + 0.5 * np.sin(0.7 * seconds)
    elif kind == "orbit":
        angle = 0.25 * seconds
        place, yaw = np.array([25 * np.sin(-angle), -25 * np.cos(angle), 25.0]), np.pi / 2 - angle
        yaw = np.arctan2(-place[1], -place[0])
    else:
        place, yaw = np.array([0.0, -40.0 + 8.0 * seconds, 25.0]), np.pi / 2
    return place, look(yaw + wobble[0], np.deg2rad(45) + wobble[1], wobble[2])


def fly(
    kind: str, seed: int, seconds: float = 10.0, rate_hz: float = 10.0, shake: float = 0.02, images: bool = False,
    objects: int = 25, miss: float = 0.1, false_rate: float = 1.0,
) -> list[SceneImage]:  # fmt: skip
    rng = np.random.default_rng(seed)
    path_seed = int(rng.integers(1 << 31))
    ground_picture = texture(rng) if images else None
    is_car = rng.random(objects) < 0.4
    sizes = np.where(is_car[:, None], [4.4, 1.8, 1.5], [0.6, 0.6, 1.75])
    places = rng.uniform([-25, -25], [25, 35], (objects, 2))
    headings = rng.uniform(0, 2 * np.pi, objects)
    speeds = np.where(is_car, rng.uniform(0, 10, objects), rng.uniform(0, 2, objects))
    turns = rng.normal(0, 0.3, objects)
    out = []
    for step in range(int(seconds * rate_hz)):
        time = step / rate_hz
        place, rotation = camera_path(kind, time, np.random.default_rng(path_seed), shake)
        headings = headings + turns / rate_hz
        places = places + (speeds / rate_hz)[:, None] * np.stack([np.cos(headings), np.sin(headings)], 1)
        boxes = np.array([box_of(p, h, s, place, rotation) for p, h, s in zip(places, headings, sizes, strict=True)])
        seen = np.isfinite(boxes).all(axis=1)
        seen &= (boxes[:, 0] > 0) & (boxes[:, 1] > 0) & (boxes[:, 2] < WIDTH) & (boxes[:, 3] < HEIGHT)
        found = np.flatnonzero(seen & (rng.random(objects) > miss))
        width = boxes[found, 2:] - boxes[found, :2]
        noisy = boxes[found] + rng.normal(0, 1, (len(found), 4)) * (0.5 + 0.04 * np.tile(width, 2))
        scores = np.where(
            rng.random(len(found)) < 0.2, rng.uniform(0.1, 0.4, len(found)), rng.uniform(0.5, 0.95, len(found))
        )
        count = rng.poisson(false_rate)
        corner = rng.uniform([0, 0], [WIDTH - 30, HEIGHT - 30], (count, 2))
        wrong = np.concatenate([corner, corner + rng.uniform(8, 30, (count, 2))], axis=1)
        classes = np.where(rng.random(len(found)) < 0.05, 1 - is_car[found], is_car[found])
        ground = INTRINSICS @ np.column_stack([rotation[:, 0], rotation[:, 1], -rotation @ place])
        image = None
        if images:
            to_ground = np.array([[METRES_PER_TEXEL, 0, -78.0], [0, METRES_PER_TEXEL, -78.0], [0, 0, 1.0]])
            image = cv2.warpPerspective(ground_picture, ground @ to_ground, (WIDTH, HEIGHT))
        detections = Detections(
            np.concatenate([noisy, wrong]),
            np.concatenate([scores, rng.uniform(0.1, 0.6, count)]),
            np.concatenate([classes, rng.integers(0, 2, count)]),
        )
        truth_of = np.concatenate([found, np.full(count, -1)]).astype(int)
        out.append(SceneImage(round(time * 1e9), detections, truth_of, boxes, image, rotation, place, ground))
    return out


def box_of(place: np.ndarray, heading: float, size: np.ndarray, camera: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    corners = (np.array(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [0.0, 1.0])).reshape(3, -1) * size[:, None]).T
    cos, sin = np.cos(heading), np.sin(heading)
    corners[:, :2] = corners[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    world = corners + np.array([*place, 0.0])
    optical = (world - camera) @ rotation.T
    if optical[:, 2].min() < 0.5:
        return np.full(4, np.nan)
    pixels = optical @ INTRINSICS.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def id_switches(rows: list[tuple[np.ndarray, np.ndarray]]) -> tuple[int, float]:
    """ID switches and association accuracy (the AssA of HOTA, with the true pairing known).

    Args:
        rows: per image the true object and the given id of every detection.
    """
    last: dict[int, int] = {}
    switches = 0
    pairs: dict[tuple[int, int], int] = {}
    of_truth: dict[int, int] = {}
    of_track: dict[int, int] = {}
    for truths, ids in rows:
        for truth, track in zip(truths.tolist(), ids.tolist(), strict=True):
            if track < 0:
                if truth >= 0:
                    of_truth[truth] = of_truth.get(truth, 0) + 1
                continue
            of_track[track] = of_track.get(track, 0) + 1
            if truth < 0:
                continue
            of_truth[truth] = of_truth.get(truth, 0) + 1
            pairs[truth, track] = pairs.get((truth, track), 0) + 1
            switches += truth in last and last[truth] != track
            last[truth] = track
    total = sum(of_truth.values())
    accuracy = sum(n * n / (of_truth[t] + of_track[k] - n) for (t, k), n in pairs.items()) / total
    return switches, accuracy
