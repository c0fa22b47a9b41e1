"""The oldest versions that ``pyproject.toml`` allows, as constraints for pip, to test that they are enough.

    python packaging/floors.py > floors.txt
    pip install -c floors.txt ".[test]" && python -m pytest

A floor is what stands behind ``>=``; extras that are asked for within extras are none.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

FLOOR = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9.]+)")


def floors(project: dict[str, object]) -> Iterator[str]:
    """``name==version`` for each requirement of the project, once.

    >>> list(floors({"dependencies": ["a>=1.2", "b[x]>=3,<4"], "optional-dependencies": {"c": ["a>=1.2", "me[c]"]}}))
    ['a==1.2', 'b==3']
    """
    wanted = list(project["dependencies"])  # type: ignore[call-overload]
    wanted += [one for extra in project["optional-dependencies"].values() for one in extra]  # type: ignore[attr-defined]
    found: dict[str, str] = {}
    for one in wanted:
        match = FLOOR.match(one)
        if match and found.setdefault(match[1], match[2]) != match[2]:
            raise SystemExit(f"{match[1]}: has two floors, {found[match[1]]} and {match[2]}")
    yield from (f"{name}=={version}" for name, version in found.items())


if __name__ == "__main__":
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text()
    sys.stdout.write("".join(f"{one}\n" for one in floors(tomllib.loads(text)["project"])))
