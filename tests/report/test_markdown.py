import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitsback.errors import FormatError
from bitsback.report import markdown

PAGE = "# Title\n\n<!-- results -->\nold\n\n| a |\n<!-- /results -->\nand\n<!-- two -->\n<!-- /two -->\nend\n"


def test_what_stands_between_marks() -> None:
    assert markdown.blocks(PAGE) == {"results": "old\n\n| a |", "two": ""}
    assert markdown.blocks("no marks, <!-- a comment --> and <!-- results --> in a line") == {}


def test_a_page_is_filled_between_its_marks_and_nowhere_else() -> None:
    once = markdown.fill(PAGE, {"results": "| new |"})
    assert once == PAGE.replace("old\n\n| a |", "| new |")
    assert markdown.fill(once, markdown.blocks(once)) == once
    with pytest.raises(FormatError, match="<!-- three -->"):
        markdown.fill(PAGE, {"results": "new", "three": "new"})


@given(st.lists(st.text("ab|\\\n1.", max_size=20), min_size=2, max_size=2))
def test_filled_parts_are_found_again(texts: list[str]) -> None:
    parts = dict(zip(("results", "two"), (text.strip("\n") for text in texts), strict=True))
    assert markdown.blocks(markdown.fill(PAGE, parts)) == parts


def test_tables() -> None:
    assert markdown.table(["", "x", "y"], [["a", "1", "2"]]) == "|  | x | y |\n| --- | ---: | ---: |\n| a | 1 | 2 |"
