"""Names as the system that extracts can hold them.

Archives keep names as the system that wrote them had them. What another one cannot hold is renamed, and whoever
extracts is told: characters that it does not allow become ``_``, bytes that are no UTF-8 are spelt ``%E9``, and of
names that it takes for the same the later one becomes ``name~2.png``. Names that are right keep theirs, whatever comes
before them. What would lead out of the target folder is refused.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bitsback.archive.folders import encode
from bitsback.archive.member import Type
from bitsback.errors import LimitError, UnsafePathError

_LONGEST = 255

MOST_PARTS = 1 << 23
"""Parts of all names together: 4,000 folders within each other have so many ..."""
MOST_FOLDERS = 1 << 17
"""... and folders that no entry names, unless there are 16 for each entry: all of them are made."""

_NO_PARTS = frozenset(("", ".", ".."))
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\s*(?:\..*)?)", re.IGNORECASE)
_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a system does not have in names.

    ``windows``: its characters, endings and devices. ``text``: bytes that are no UTF-8. ``case``: names that differ by
    case only. ``marks``: names that differ only in whether an accent is part of its letter.
    """

    windows: bool = False
    text: bool = False
    case: bool = False
    marks: bool = False

    def fold(self, part: str) -> str:
        """What two names have in common that the system takes for the same."""
        if self.marks and not part.isascii():
            part = unicodedata.normalize("NFD", part)
        if self.case:
            if part.isascii():
                return part.lower()
            return "".join(folded if len(folded := char.casefold()) == 1 else char for char in part)
        return part

    def size(self, part: str) -> int:
        """The length of a name, of which 255 are allowed: bytes, on Windows 16-bit units."""
        if part.isascii():
            return len(part)
        return len(part.encode("utf-16-le", "surrogatepass")) // 2 if self.windows else len(encode(part))

    def fitting(self, part: str) -> tuple[str, str]:
        """A part of a name as it can be here, and why it is not what it was; the same and "" if it can stay."""
        why = ""
        if self.text and not part.isascii():
            escaped = (_BYTE if self.windows else _SURROGATE).sub(_escape, part)
            if escaped != part:
                part, why = escaped, "it is not valid UTF-8"
        if self.windows and (match := _FORBIDDEN.search(part)):
            part, why = _FORBIDDEN.sub("_", part), why or f"names here are without {match[0]!r}"
        if self.windows and (match := _DEVICE.fullmatch(part)):
            part, why = f"{match[1]}_{match[2]}", why or "it means a device here"
        if self.size(part) > _LONGEST:
            part, why = self.cut(part, ""), why or f"names here have up to {_LONGEST} characters"
        if self.windows and part[-1] in " .":
            part, why = part[:-1] + "_", why or "names here do not end in a dot or a space"
        return part, why

    def cut(self, part: str, mark: str) -> str:
        """``part`` with ``mark`` at the end of its stem, which is cut so that the whole fits."""
        stem, dot, suffix = part.rpartition(".")
        if not stem or len(suffix) > 16:
            stem, dot, suffix = part, "", ""
        stem = stem[:_LONGEST]
        while self.size(f"{stem}{mark}{dot}{suffix}") > _LONGEST:
            stem = stem[:-1]
        return f"{stem}{mark}{dot}{suffix}"


POSIX = Rules()
MACOS = Rules(text=True, case=True, marks=True)
WINDOWS = Rules(windows=True, text=True, case=True)
EVERYWHERE = Rules(windows=True, text=True, case=True, marks=True)
HERE = {"win32": WINDOWS, "cygwin": WINDOWS, "darwin": MACOS}.get(sys.platform, POSIX)
"""The rules of this system; a file system may have others."""


_PLAIN = re.compile(r"(?:(?!con|prn|aux|nul|com|lpt)[0-9a-z_-]+(?:\.[0-9a-z_-]+)*(?:/|$))+")


def is_plain(name: str) -> bool:
    """Whether, at a quick look, every system can hold a name as it is, beside others of this sort.

    >>> is_plain("folder-1/image_0001.png"), is_plain("aux.png"), is_plain("Image_0001.png")
    (True, False, False)
    """
    return len(name) < _LONGEST and _PLAIN.fullmatch(name) is not None


class Named(Protocol):
    """What has a place in a folder."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> Type: ...


class Place(NamedTuple):
    """Where something goes: the parts of its path below the target folder, and why that is not its name, or ""."""

    parts: tuple[str, ...]
    note: str = ""


def place(entries: Iterable[Named], rules: Rules = HERE, strip: int = 0) -> list[Place | UnsafePathError | None]:
    """Where each entry goes; None for those of which ``strip``, the number of leading folders to drop, leaves nothing.

    Refused, with an error that says why, are names that are empty, absolute, or hold ``..`` or NUL, and what cannot
    stand beside an earlier entry: the same name again (but for folders), or a name below something that is no folder.
    Raises LimitError for names of more folders than anybody has (:data:`MOST_PARTS`, :data:`MOST_FOLDERS`).

    >>> from bitsback.archive.member import Entry
    >>> [where.parts for where in place([Entry("a/x:y.png"), Entry("A/x_y.png"), Entry("a/x_y.png")], WINDOWS)]
    [('a', 'x_y~2.png'), ('A~2', 'x_y.png'), ('a', 'x_y.png')]
    >>> place([Entry("../a")])
    [UnsafePathError("'../a': a part of the name is '..'")]
    """
    tree = _Tree(rules)
    found = [tree.add(entry, strip) for entry in entries]
    tree.settle()
    return [Place(node.place(), node.take_note()) if isinstance(node, _Node) else node for node in found]


@dataclass(slots=True, eq=False)
class _Node:
    """A part of a name within its folder."""

    parent: _Node | None
    part: str
    kind: Type | None = None
    """None for a folder that is only known from what is in it."""
    below: dict[str, _Node] | None = None
    taken: dict[str, str] | None = None
    """What is placed in the folder, by what the system makes of its name."""
    note: str = ""
    _place: tuple[str, ...] | None = None

    def place(self) -> tuple[str, ...]:
        """The path, as placed. In a loop, as names may be deep; and kept for the folder alone, as that takes memory."""
        folder = self.parent
        if folder is None:
            return ()
        if folder._place is None:
            chain, node = [], folder
            while node.parent is not None and node._place is None:
                chain.append(node.part)
                node = node.parent
            folder._place = (*(node._place or ()), *reversed(chain))
        return (*folder._place, self.part)

    def take_note(self) -> str:
        """Why this was renamed, or else a folder above that nobody has been told about."""
        node: _Node | None = self
        while node is not None and (node is self or node.kind is None):
            if node.note:
                note, node.note = node.note, ""
                return note
            node = node.parent
        return ""


class _Tree:
    """Names, part by part."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._top = _Node(None, "", Type.FOLDER)
        self._nodes: list[_Node] = []
        self._folders: dict[str, _Node] = {}
        self._last = ""
        self._parts_left, self._folders_left = MOST_PARTS, MOST_FOLDERS

    def add(self, entry: Named, strip: int) -> _Node | UnsafePathError | None:
        """The node of an entry, or why it has none."""
        self._parts_left -= 1 + entry.name.count("/")
        if self._parts_left < 0:
            raise LimitError("names with more folders within each other than anybody has")
        self._folders_left += 16
        parts = entry.name.split("/")
        if not _NO_PARTS.isdisjoint(parts) or "\0" in entry.name:
            wrong = next(part for part in parts if part in _NO_PARTS or "\0" in part)
            return _refused(entry.name, f"a part of the name is {wrong!r}")
        parts = parts[strip:]
        if not parts:
            return None
        above, last = parts[:-1], parts[-1]
        folder = "/".join(above)
        node = self._folders.get(folder, self._top)
        for part in above if node is self._top else ():
            below = node.below.get(part) if node.below else None
            if below is None:
                below = self._new(node, part)
                self._folders_left -= 1
                if self._folders_left < 0:
                    raise LimitError("names with more folders in them than anybody has")
            elif below.kind not in (None, Type.FOLDER):
                return _refused(entry.name, "a folder above it is something else, too")
            node = below
        if self._last != folder:
            self._folders.pop(self._last, None)  # of folders that are no entries, only the last one is kept
            self._folders[folder], self._last = node, folder if node.kind is None else ""
        there = node.below.get(last) if node.below else None
        if there is None:
            there = self._new(node, last)
        elif entry.type != Type.FOLDER or there.kind not in (None, Type.FOLDER):
            return _refused(entry.name, "something else has this name")
        there.kind = entry.type
        if entry.type == Type.FOLDER and not strip:
            self._folders[entry.name] = there
        return there

    def _new(self, folder: _Node, part: str) -> _Node:
        if folder.below is None:
            folder.below, folder.taken = {}, {}
        node = folder.below[part] = _Node(folder, part)
        self._nodes.append(node)
        return node

    def settle(self) -> None:
        """Rename what has to be: first the names that are right, in order, get theirs, then the others what is left."""
        others: list[tuple[_Node, str, str]] = []
        for node in self._nodes:
            part, why = self._rules.fitting(node.part)
            if not why and (other := self._take(node, part)) is not None:
                why = f"to this file system, {other!r} is the same name"
            if why:
                others.append((node, part, why))
        numbers: dict[tuple[int, str], int] = {}
        for node, part, node.note in others:
            key, node.part = (id(node.parent), self._rules.fold(part)), part
            while self._take(node, node.part) is not None:
                numbers[key] = numbers.get(key, 1) + 1
                node.part = self._rules.cut(part, f"~{numbers[key]}")

    def _take(self, node: _Node, part: str) -> str | None:
        """Give ``part`` to a node in its folder; or return the name that is in the way."""
        taken = node.parent.taken if node.parent else None
        assert taken is not None  # it was made with the first node
        folded = self._rules.fold(part)
        if folded in taken:
            return taken[folded]
        taken[folded] = part
        return None


def _refused(name: str, reason: str) -> UnsafePathError:
    return UnsafePathError(f"{name!r}: {reason}")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in encode(match[0]))
