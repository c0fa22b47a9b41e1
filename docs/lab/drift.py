"""What the lab's pages show, kept in a folder beside them, and how it compares with what their scripts give now.

expected/NAME.json holds, for the page NAME.md: ``page``, the text between each of its marks; ``tolerance``, by which
share a number may differ elsewhere; and, where the script takes long, ``quick``, what a tiny run of it gives.
"""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "expected"
MACHINE = "machine"
"""The mark of where and when a page was made: what a run elsewhere cannot give again."""

NUMBER = re.compile(r"[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?")


def read(name: str) -> dict:
    """What is kept of a page."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def keep(name: str, **facts: object) -> None:
    """Keep some of the facts of a page: ``page``, ``tolerance``, ``quick``. Those that are not given stay."""
    path = FOLDER / f"{name}.json"
    kept = (read(name) if path.exists() else {}) | facts
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def value(number: str) -> tuple[float, float]:
    """A number as it stands in a text, and what a unit of its last place is worth.

    >>> value("1,234.50"), value("\u22121.1e-02")
    ((1234.5, 0.01), (-0.011, 0.001))
    """
    plain = number.replace(",", "").replace("\u2212", "-")
    mantissa, _, exponent = plain.partition("e")
    places = len(mantissa.partition(".")[2])
    return float(plain), 10.0 ** (int(exponent or 0) - places)


def differences(kept: str, found: str, tolerance: float) -> list[str]:
    """Where two texts differ: in their words, or in a number by more than the tolerance and a unit of its last place.

    With a tolerance of 0, in anything at all.

    >>> differences("| a | 1.52 |", "| a | 1.55 |", 0.02), differences("| a | 1.52 |", "| a | 1.57 |", 0.02)
    ([], ['| a | 1.52 |: 1.52 is 1.57 now'])
    """
    if tolerance == 0:
        pairs = zip(kept.splitlines(), found.splitlines(), strict=False)
        lines = [f"{one}: is {other!r} now" for one, other in pairs if one != other]
        return lines or ([] if kept == found else ["one text is longer than the other"])
    if NUMBER.sub("0", kept) != NUMBER.sub("0", found):
        return [f"the words are others now:\n{found}"]
    result = []
    for one, other in zip(kept.splitlines(), found.splitlines(), strict=True):
        for a, b in zip(NUMBER.findall(one), NUMBER.findall(other), strict=True):
            (was, unit), (now, _) = value(a), value(b)
            if abs(was - now) > tolerance * max(abs(was), abs(now)) + 1.001 * unit:
                result.append(f"{one}: {a} is {b} now")
    return result
