"""Engines kept beside the model, with a JSON fingerprint of what each was built from and for."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uav_perception.files import replacing, write_json
from uav_perception.inference.errors import BackendError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedEngine:
    """An engine ready to be loaded.

    Attributes:
        path: of the engine's file.
        plan: its bytes.
        built: it was built now; False: taken from the cache.
    """

    path: Path
    plan: bytes
    built: bool


def fingerprint(model: bytes, options: dict[str, object], library: str, device: dict[str, str]) -> dict[str, object]:
    """What an engine depends on. Equal fingerprints mean an interchangeable engine.

    Args:
        model: the ONNX file.
        options: precision, shapes, largest batch.
        library: name and version of TensorRT.
        device: name, compute capability and driver of the GPU.
    """
    digest = hashlib.sha256(model)
    digest.update(json.dumps(options, sort_keys=True).encode())
    return {
        "model_and_options_sha256": digest.hexdigest(),
        "options": options,
        "library": library,
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def cache_directory(model: Path, wanted: Path | None) -> Path:
    """The folder of a model's engines, made with mode 0700: engines hold code.

    Args:
        model: the ONNX file.
        wanted: a folder to use; None for ``engines`` beside the model, or one in the user's cache where that cannot be
            written (a model installed by the system).

    Raises:
        BackendError: the folder belongs to somebody else, or others may write to it.
    """
    if wanted is not None:
        folder = wanted
    elif os.access(model.parent, os.W_OK):
        folder = model.parent / "engines"
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "uav_perception" / "engines"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BackendError(
            f"The engine folder {folder} (mode {stat.S_IMODE(status.st_mode):o}) can be written by other users, and "
            f"engines hold code. Run `chmod 700 {folder}` as its owner, or choose another folder."
        )
    return folder


def cached_engine(path: Path, wanted: dict[str, object], build: Callable[[], bytes]) -> CachedEngine:
    """Take an engine from the cache, or build it where there is none or it is stale.

    Args:
        path: of the engine; its fingerprint lies beside it with the suffix ``.json``.
        wanted: from `fingerprint`.
        build: makes the engine's bytes.

    Returns:
        The engine. Files are written under a temporary name first, the fingerprint last.
    """
    reason = stale_reason(path, wanted)
    if reason is None:
        return CachedEngine(path, path.read_bytes(), built=False)
    _LOG.warning("Building the TensorRT engine %s: %s. This can take minutes.", path.name, reason)
    start = time.monotonic()
    plan = build()
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(plan)
    record = {
        **wanted,
        "engine_sha256": hashlib.sha256(plan).hexdigest(),
        "engine_bytes": len(plan),
        "build_seconds": round(time.monotonic() - start, 2),
    }
    write_json(path.with_suffix(".json"), record)
    return CachedEngine(path, plan, built=True)


def stale_reason(path: Path, wanted: dict[str, object]) -> str | None:
    """Why an engine cannot be used; None when it can."""
    sidecar = path.with_suffix(".json")
    if not path.is_file() or not sidecar.is_file():
        return "there is none yet"
    try:
        found = json.loads(sidecar.read_text(encoding="utf-8"))
    except ValueError:
        return "its fingerprint cannot be read"
    changed = [key for key, value in wanted.items() if found.get(key) != value]
    if "model_and_options_sha256" in changed:
        return "the model or its options changed"
    if changed:
        return ", ".join(f"{key} changed from {found.get(key)} to {wanted[key]}" for key in changed)
    if found.get("engine_sha256") != hashlib.sha256(path.read_bytes()).hexdigest():
        return "its file was changed or cut off"
    return None


def forget(path: Path) -> None:
    """Remove an engine that the device refused."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
