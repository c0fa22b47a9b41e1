"""Which names can stand side by side in one folder, on every system."""

from collections.abc import Iterable

from bitsback.errors import UnsafePathError
from bitsback.files import check_name


class Names:
    """The names taken so far, where upper and lower case are the same.

    >>> names = Names()
    >>> [names.problem(name) for name in ("a/b", "A/c", "a/B", "a", "a/b/c")]
    ['', '', "'a/b' has the same name", "'a/b' needs a folder of that name", "'a/b' is a file"]
    """

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def problem(self, name: str) -> str:
        """Take ``name``, or say in words what is in its way."""
        folded = name.casefold()
        if folded in self._files:
            return f"{self._files[folded]!r} has the same name"
        if folded in self._folders:
            return f"{self._folders[folded]!r} needs a folder of that name"
        parents = [folded[:at] for at, char in enumerate(folded) if char == "/"]
        for parent in parents:
            if parent in self._files:
                return f"{self._files[parent]!r} is a file"
        self._files[folded] = name
        for parent in parents:
            self._folders.setdefault(parent, name)
        return ""


def check_names(names: Iterable[str]) -> None:
    """Raise UnsafePathError unless all names are safe, and can stand side by side."""
    taken = Names()
    for name in names:
        check_name(name)
        if problem := taken.problem(name):
            raise UnsafePathError(f"{name!r}: {problem}")
