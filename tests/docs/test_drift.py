"""Pages show what programs give.

Every figure between marks is what was measured and kept; and what the lab keeps is what its scripts give now.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bitsback.report.markdown import blocks

ROOT = Path(__file__).parents[2]


def loaded() -> ModuleType:
    """docs/make.py, which brings a folder of its own along."""
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


make = loaded()
PARTS: dict[Path, dict[str, str]] = make.parts()
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PARTS, ids=name_of)
def test_a_page_shows_what_was_kept(page: Path) -> None:
    assert make.rest(page, PARTS[page]) == []


def edits(text: str) -> Iterator[str]:
    """The text with one number changed by one in its last digit: for each of its numbers."""
    for match in make.drift.NUMBER.finditer(text):
        last = match.end() - 1 if "e" not in match[0] else match.start() + match[0].index("e") - 1
        yield text[:last] + str((int(text[last]) + 1) % 10) + text[last + 1 :]


@pytest.mark.parametrize("page", PARTS, ids=name_of)
def test_a_number_edited_by_hand_is_noticed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "ROOT", tmp_path)
    text = page.read_text("utf-8")
    copy = tmp_path / page.name
    count = 0
    for mark, block in blocks(text).items():
        start = text.index(block, text.index(f"<!-- {mark} -->"))
        for edited in edits(block):
            copy.write_text(text[:start] + edited + text[start + len(block) :], "utf-8")
            assert make.rest(copy, PARTS[page]), f"{mark}: {edited}"
            count += 1
    assert count > 5


@pytest.mark.parametrize("page", PARTS, ids=name_of)
def test_no_measured_table_stands_outside_of_marks(page: Path) -> None:
    """A table with figures in it; those of words may stand anywhere."""
    text = CODE.sub("", page.read_text("utf-8"))
    for mark, block in blocks(text).items():
        text = text.replace(f"<!-- {mark} -->\n{block}\n<!-- /{mark} -->", "")
    for table in TABLE.findall(text):
        cells = [cell.strip(" *`") for row in table.splitlines()[2:] for cell in row.strip("|").split("|")[1:]]
        assert not [cell for cell in cells if re.fullmatch(r"[-+−]?[\d,]*\.?\d+ ?(%|[kM]?B|s|x)?", cell)], table


def test_every_page_of_the_lab_with_figures_has_a_script() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "lab").glob("*.md") if blocks(path.read_text("utf-8"))}
    assert pages == set(make.SCRIPTS) and pages >= make.HOURS | make.WHOLE


@pytest.mark.parametrize("name", make.SCRIPTS)
def test_a_page_of_the_lab_says_where_it_was_made_and_shows_its_figures(name: str) -> None:
    page = ROOT / "docs" / "lab" / f"{name}.md"
    text = page.read_text("utf-8")
    assert re.search(r"Python 3\.\d+\.\d+, bitsback \d.*; 20\d\d-\d\d-\d\d\.$", blocks(text)["machine"])
    figures = set(re.findall(r"!\[[^]]*\]\(([^)]+\.svg)\)", text))
    assert figures == {path.name for path in page.parent.glob(f"{name}*.svg")}
    for figure in figures:
        drawn = (page.parent / figure).read_text("utf-8")
        assert drawn.startswith("<?xml") and "</svg>" in drawn and len(drawn) < 200_000


@pytest.mark.parametrize("name", make.SCRIPTS)
def test_what_was_kept_is_what_the_script_gives(name: str) -> None:
    pytest.importorskip("matplotlib", reason="the lab's scripts draw with matplotlib: pip install 'bitsback[train]'")
    source = make.SCRIPTS[name].read_text("utf-8")
    if name == "paper" or "small_vae" in source or "import torch" in source:
        pytest.importorskip("torch", reason="this page's model is trained with torch: pip install 'bitsback[train]'")
    if "constriction" in source:
        pytest.importorskip("constriction", reason="this page needs constriction: pip install 'bitsback[bench]'")
    before = contents()
    assert make.rerun(name) == []
    assert contents() == before, "a run that is to write nothing wrote into the docs"


def contents() -> dict[Path, bytes]:
    """Every file below docs and what is in it; what Python leaves behind does not count."""
    files = (path for path in (ROOT / "docs").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: path.read_bytes() for path in files}


# How texts are compared -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "found", "tolerance", "same"),
    [
        ("| a | 1.52 |", "| a | 1.52 |", 0, True),
        ("| a | 1.52 |", "| a | 1.53 |", 0, False),
        ("| a | 1.52 |", "| a | 1.53 |", 0.02, True),
        ("| a | 1.52 |", "| a | 1.60 |", 0.02, False),
        ("| a | 0.1 |", "| a | -0.0 |", 0.02, True),  # a unit of the last place
        ("| a | 12,345 |", "| a | 12,400 |", 0.01, True),
        ("| a | 12,345 |", "| a | 13,345 |", 0.01, False),
        ("| a | +1.1e-03 |", "| a | +1.2e-03 |", 0.01, True),
        ("| a | +1.1e-03 |", "| a | +1.1e-02 |", 0.01, False),
        ("| a | −3 % |", "| a | +3 % |", 0.5, False),
        ("one 1", "two 1", 0.5, False),
        ("1 2", "1 2 3", 0.5, False),
        ("1", "1\n2", 0, False),
    ],
)
def test_numbers_are_compared_and_words_must_be_the_same(kept: str, found: str, tolerance: float, same: bool) -> None:
    assert (make.drift.differences(kept, found, tolerance) == []) == same
