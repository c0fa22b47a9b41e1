"""Archives of the format decode to what they decoded to when they were made: from the first release on, for ever."""

import json
from pathlib import Path

import pytest

import bitsback
from bitsback.models.search import ZOO
from golden.make import manifest

GOLDEN = Path(__file__).parent / "golden"
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())


def test_none_is_missing() -> None:
    assert MANIFEST.keys() == {path.name for path in GOLDEN.glob("*.bba")}
    assert len(MANIFEST) == 12


@pytest.mark.parametrize("archive", MANIFEST)
def test_golden_archives_decode(archive: str) -> None:
    assert manifest(GOLDEN / archive) == MANIFEST[archive]
    with bitsback.open(GOLDEN / archive) as opened:
        assert opened.test() == []


def test_they_use_every_kind_and_model() -> None:
    """Or they would not protect what they are there for."""
    how: set[str] = set()
    models: set[str] = set()
    for archive in MANIFEST:
        with bitsback.open(GOLDEN / archive) as opened:
            for member in opened.members:
                how |= set(member.how)
                models |= set(member.models)
    assert how >= {"context", "vae", "adaptive", "packed", "stored"}
    assert models >= {bitsback.Model.load(path).id for path in ZOO.glob("*.bbm")}
