import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitsback.archive.patterns import Exclude
from bitsback.errors import BitsBackError


@pytest.mark.parametrize(
    ("pattern", "out", "kept"),
    [
        ("*.tmp", ["a.tmp", "x/y/a.tmp", "a.tmp/b", ".tmp"], ["a.tmpx", "tmp", "a/tmp"]),
        (".git", [".git", "x/.git", "x/.git/config"], ["a.git", ".gitignore"]),
        ("raw/", ["raw/a", "x/raw/a"], ["raw", "x/raw"]),
        ("/raw", ["raw", "raw/x"], ["x/raw"]),
        ("./raw/a", ["raw/a"], ["x/raw/a", "raw/b"]),
        ("a/*/c", ["a/b/c", "a/b/c/d"], ["a/c", "a/b/b/c", "x/a/b/c"]),
        ("a/**/c", ["a/c", "a/b/c", "a/b/b/c"], ["a/xc", "c"]),
        ("**/b/c", ["b/c", "a/b/c", "a/a/b/c"], ["ab/c", "c"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a"]),
        ("a?c", ["abc", "x/abc", "a\nc"], ["ac", "a/c", "abbc"]),
        ("[a-c]x[!a-c]", ["axd", "bxé"], ["dxd", "axa", "ax"]),
        ("[]]", ["]"], ["[]]", "a"]),
        ("[!]]", ["a"], ["]"]),
        ("[", ["["], ["a"]),
        ("[c-a]", [], ["a", "b", "c"]),
        ("a[/]b", ["a[/]b"], ["a/b"]),
        ("[+--]x", ["+x", ",x", "-x"], ["ax"]),
        ("*", ["a", "a/b"], []),
        ("a.b", ["a.b"], ["axb"]),
        ("(a|b)+", ["(a|b)+"], ["a"]),
        ("\udce9*", ["\udce9x"], ["x"]),
        (unicodedata.normalize("NFC", "é*"), [unicodedata.normalize("NFD", "éa")], ["e"]),
        (unicodedata.normalize("NFD", "é?"), [unicodedata.normalize("NFC", "éa")], ["e"]),
    ],
)
def test_patterns(pattern: str, out: list[str], kept: list[str]) -> None:
    exclude = Exclude([pattern])
    assert [name for name in out + kept if exclude(name)] == out


def test_folders_only() -> None:
    exclude = Exclude(["raw/", "x"])
    assert exclude("raw", folder=True) and not exclude("raw", folder=False)
    assert exclude.alone("a/x", folder=False) and not exclude.alone("x/a", folder=False)
    assert not Exclude([])("anything")


@pytest.mark.parametrize("pattern", ["", "/", "./", "//"])
def test_patterns_that_stand_for_nothing(pattern: str) -> None:
    with pytest.raises(BitsBackError, match="stands for nothing"):
        Exclude([pattern])


@given(st.text(max_size=12), st.text(st.sampled_from("ab/.*[]!-^\\?\n"), max_size=12))
def test_any_text_is_a_pattern(text: str, hard: str) -> None:
    for pattern in (text, hard):
        if pattern.removeprefix("./").strip("/"):
            exclude = Exclude([pattern])
            exclude(hard or "a")
            if not set(pattern) & set("*?[/") and not pattern.startswith("./"):
                assert exclude(f"x/{pattern}")
