"""Print the requirements of pyproject.toml for the extras named on the command line, one a line."""

import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
print(
    *project["dependencies"],
    *(line for name in sys.argv[1:] for line in project["optional-dependencies"][name]),
    sep="\n",
)
