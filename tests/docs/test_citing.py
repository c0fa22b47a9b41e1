"""What is to be cited is the version that is here."""

from pathlib import Path

import bitsback

ROOT = Path(__file__).parents[2]


def test_the_version_to_cite_is_this_one() -> None:
    assert f"version = {{{bitsback.__version__}}}" in (ROOT / "docs/citing.md").read_text()
    assert f"\nversion: {bitsback.__version__}\n" in (ROOT / "CITATION.cff").read_text()
