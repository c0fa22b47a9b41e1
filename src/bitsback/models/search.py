"""Where model files are: the folders of ``BITSBACK_MODEL_PATH``, the user's own folder, and the package.

In this order, and by file name within a folder; of two files of one name, the first is meant. What cannot be read, and
what is no regular file, is passed over: a search path may hold anything.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bitsback.models.file import SUFFIX

PATH_VARIABLE = "BITSBACK_MODEL_PATH"

ZOO = Path(__file__).parent / "zoo"

Where = Literal["path", "user", "shipped"]


@dataclass(frozen=True, slots=True)
class Found:
    """A model file, not opened yet, and in whose folder it is."""

    path: Path
    where: Where

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.path.stem

    @property
    def card(self) -> Path:
        """The file of facts that may lie beside it."""
        return self.path.with_suffix(".json")


def user_folder() -> Path | None:
    """The user's own folder of models, which need not exist; None for a user without a home.

    ``bitsback/models`` in ``$XDG_DATA_HOME``, or, if that is not set, where the platform keeps programs' data:
    ``%LOCALAPPDATA%``, ``~/Library/Application Support`` or ``~/.local/share``.
    """
    variables = ["XDG_DATA_HOME", "LOCALAPPDATA"] if sys.platform == "win32" else ["XDG_DATA_HOME"]
    for variable in variables:
        # A relative path would be a different folder for every command
        if (value := Path(os.environ.get(variable, ""))).is_absolute():
            return value / "bitsback" / "models"
    places = {"win32": "AppData/Local", "darwin": "Library/Application Support"}
    try:
        return Path.home() / places.get(sys.platform, ".local/share") / "bitsback" / "models"
    except RuntimeError:
        return None


def folders() -> dict[Path, Where]:
    """Where to look, in order."""
    found: dict[Path, Where] = {}
    for name in filter(None, os.environ.get(PATH_VARIABLE, "").split(os.pathsep)):
        found.setdefault(Path(name), "path")
    if user := user_folder():
        found.setdefault(user, "user")
    found.setdefault(ZOO, "shipped")
    return found


def find() -> list[Found]:
    """All model files."""
    return [Found(path, where) for folder, where in folders().items() for path in _model_files(folder)]


def installed() -> list[Path]:
    """The paths of all model files that have a name, in the order in which they are looked for."""
    return [found.path for found in find()]


def _model_files(folder: Path) -> list[Path]:
    try:
        # A name that begins with a full stop is no file of the user's, but of some system
        paths = [path for path in folder.iterdir() if path.name.endswith(SUFFIX) and not path.name.startswith(".")]
    except OSError:
        return []
    return sorted(filter(_is_file, paths), key=lambda path: path.stem)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


__all__ = ["Found", "Where", "find", "folders", "installed", "user_folder"]
