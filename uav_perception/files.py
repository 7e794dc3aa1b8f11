"""Writing files so that a reader never meets a half-written one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it onto ``path`` when the block ends without an error.

    The temporary name keeps the suffix (``model.onnx`` becomes ``.model.<pid>.part.onnx``), since writers look at it.

    Args:
        path: the file to create or replace. Its folder is made when it is missing.

    Yields:
        The name to write to. It is removed when the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write JSON, indented and with a final newline, in one step. NaN is refused: JSON has none.

    Raises:
        ValueError: a number in ``value`` is NaN or infinite.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
