"""Patterns for names: of what is to be left out, and of what is wanted out of an archive."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from bitsback.archive.member import Type
from bitsback.errors import BitsBackError


class Exclude:
    """Decides what is left out, by patterns as ``.gitignore`` has them.

    - ``*.tmp``, ``.git``, ``Thumbs.db``: without a slash, anything of that name, in whatever folder;
    - ``scans/raw``, ``scans/*/*.png``, ``/notes.txt``: with a slash, what has this name in the archive, from its
      beginning;
    - ``*`` and ``?`` stand for any characters and for one, ``[a-z]`` and ``[!a-z]`` for one of, or none of some; none
      of them for a slash. ``**/`` stands for any number of folders, ``/**`` for everything below;
    - a slash at the end means folders only.

    A folder that is left out is so with all that is in it. Case counts; composed and decomposed accents do not.

    >>> exclude = Exclude(["*.tmp", "scans/raw/", "a/**/z"])
    >>> [exclude(name) for name in ("x/y.tmp", "y.tmp/z", "scans/raw/1.png", "scans/raw", "a/z", "a/b/c/z", "b/a/z")]
    [True, True, True, False, True, True, False]
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._anywhere: list[tuple[re.Pattern[str], bool]] = []
        self._whole: list[tuple[re.Pattern[str], bool]] = []
        for pattern in patterns:
            bare = _composed(pattern.removeprefix("./").rstrip("/"))
            if not bare:
                raise BitsBackError(f"{pattern!r}: a pattern that stands for nothing")
            where = self._whole if "/" in bare else self._anywhere
            where.append((re.compile(_expression(bare.lstrip("/")), re.DOTALL), pattern.endswith("/")))

    def __call__(self, name: str, *, folder: bool = False) -> bool:
        """Whether ``name``, the name of a folder or of something else, or a folder above it is left out."""
        if not self._anywhere and not self._whole:
            return False
        ends = [at for at, char in enumerate(name) if char == "/"]
        return any(self.alone(name[:end], folder=True) for end in ends) or self.alone(name, folder=folder)

    def alone(self, name: str, *, folder: bool) -> bool:
        """Whether ``name`` itself is left out, not looking at the folders above it."""
        name = _composed(name)
        last = name.rpartition("/")[2]
        return any((folder or not only) and match.fullmatch(last) for match, only in self._anywhere) or any(
            (folder or not only) and match.fullmatch(name) for match, only in self._whole
        )


class Named(Protocol):
    """A member of an archive."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> Type: ...
    @property
    def ordinal(self) -> int: ...


M = TypeVar("M", bound=Named)


def select(members: Sequence[M], patterns: Sequence[str]) -> list[M]:
    """The members that are wanted, in order; all of them if there are no patterns.

    Each is a name, that of a folder for all that is in it, or a pattern as for :class:`Exclude`, if nothing has it for
    a name. Raises BitsBackError for one without a match.
    """
    if not patterns:
        return list(members)
    chosen: dict[int, M] = {}
    for pattern in patterns:
        name = pattern.removeprefix("./").rstrip("/")
        found = [member for member in members if member.name == name or member.name.startswith(f"{name}/")]
        if not found and set("*?[") & set(pattern):
            matches = Exclude([pattern])
            found = [member for member in members if matches(member.name, folder=member.type == Type.FOLDER)]
        if not found:
            raise missing(pattern, members)
        chosen |= {member.ordinal: member for member in found}
    return [chosen[ordinal] for ordinal in sorted(chosen)]


def missing(name: str, members: Iterable[Named]) -> BitsBackError:
    """The error that there is no such name, with one of another folder that may be meant."""
    last = _last(name)
    meant = next((member.name for member in members if last and _last(member.name) == last), "")
    return BitsBackError(f"{name!r}: no file of that name in the archive{f'; there is {meant!r}' if meant else ''}")


def _last(name: str) -> str:
    """The last part of a name, for comparison."""
    return _composed(name.rstrip("/").rpartition("/")[2]).casefold()


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


_TOKEN = re.compile(r"(?:(?<=/)|\A)\*\*/|/\*\*\Z|\*+|\?|\[(!?)(\]?[^\]/]*)\]|.", re.DOTALL)


def _expression(pattern: str) -> str:
    """The pattern as a regular expression."""

    def one(match: re.Match[str]) -> str:
        text = match[0]
        if text == "**/":
            return "(?:[^/]+/)*"
        if text == "/**":
            return "/.+"
        if text[0] == "*":
            return "[^/]*"
        if text == "?":
            return "[^/]"
        if match[2] is not None:
            return _set(bool(match[1]), match[2])
        return re.escape(text)

    return _TOKEN.sub(one, pattern)


def _set(inverse: bool, chars: str) -> str:
    """``[...]``, of which nothing is special but ranges."""
    parts = re.findall(r"(?s)(.)-(.)|(.)", chars)
    ranges = "".join(
        re.escape(one) if one else f"{re.escape(low)}-{re.escape(high)}"
        for low, high, one in parts
        if one or low <= high
    )
    if inverse:
        return f"[^/{ranges}]"
    return f"(?!/)[{ranges}]" if ranges else "(?!)"
