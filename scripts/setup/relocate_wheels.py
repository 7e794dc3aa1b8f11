"""Rewrite the build machine's Python paths that the ROS wheels carry in their CMake files to this environment's own.

The wheels' exported targets name the include directories of the Python and NumPy they were built with; CMake refuses a
target whose include directory does not exist.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

REPLACEMENTS = (
    (re.compile(r"/opt/python/[^/;\"]+/lib/python[\d.]+/site-packages/numpy/_core/include"), numpy.get_include()),
    (re.compile(r"/opt/python/[^/;\"]+/include/python[\d.]+"), sysconfig.get_paths()["include"]),
)


def main() -> None:
    """Rewrite every ``*Export.cmake`` below this environment's ``share``."""
    changed = 0
    for path in Path(sys.prefix, "share").glob("*/cmake/*.cmake"):
        text = path.read_text(encoding="utf-8")
        new = text
        for pattern, place in REPLACEMENTS:
            new = pattern.sub(place, new)
        if new != text:
            path.write_text(new, encoding="utf-8")
            changed += 1
    print(f"relocated {changed} CMake files of the ROS wheels")


if __name__ == "__main__":
    main()
