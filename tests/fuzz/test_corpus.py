"""What is fuzzed, looked at in small: seeds, what was ever found, and a few changes of them, the same each time."""

from pathlib import Path
from random import Random

import pytest

from fuzz.targets import SEEDS, TARGETS

CORPUS = Path(__file__).parent / "corpus"
CHANGES = 3


def changed(data: bytes, random: Random) -> bytes:
    """The same but for a few bytes."""
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(out) + 1)
        out[at : at + random.choice((0, 1, 1, 4))] = random.choice((b"", b"\0", b"\xff", random.randbytes(2)))
    return bytes(out)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_known_of(name: str) -> None:
    random = Random(name)
    begins = list(SEEDS[name]())
    assert begins
    for data in (
        *begins,
        *(changed(data, random) for data in begins for _ in range(CHANGES)),
        b"",
        b"\0",
        b"\xff" * 40,
    ):
        TARGETS[name](data)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())
