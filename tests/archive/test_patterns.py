import unicodedata
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitsback.archive.member import Entry, Type
from bitsback.archive.patterns import Exclude, select
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


@dataclass
class One:
    entry: Entry
    ordinal: int

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def type(self) -> Type:
        return self.entry.type


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["a.png"], ["a.png"]),
        (["in"], ["in", "in/a.png", "in/sub", "in/sub/b.png"]),
        (["in/"], ["in", "in/a.png", "in/sub", "in/sub/b.png"]),
        (["./in/a.png", "a.png"], ["a.png", "in/a.png"]),
        (["*.png"], ["a.png", "in/a.png", "in/sub/b.png", "odd[1].png"]),
        (["in/*.png"], ["in/a.png"]),
        (["in/**"], ["in/a.png", "in/sub", "in/sub/b.png"]),
        (["sub*"], ["in/sub", "in/sub/b.png"]),
        (["[!a].png"], ["in/sub/b.png"]),
        (["odd[1].png"], ["odd[1].png"]),
        ([], ["a.png", "in", "in/a.png", "in/sub", "in/sub/b.png", "odd[1].png"]),
    ],
)
def test_what_is_wanted(wanted: list[str], found: list[str]) -> None:
    """A star does not reach into folders, so that nothing is removed unawares; a name is a name before a pattern."""
    folders = {"in", "in/sub"}
    names = ["a.png", "in", "in/a.png", "in/sub", "in/sub/b.png", "odd[1].png"]
    kinds = {True: Type.FOLDER, False: Type.FILE}
    members = [One(Entry(name, kinds[name in folders]), number) for number, name in enumerate(names)]
    assert [member.name for member in select(members, wanted)] == found


@pytest.mark.parametrize("pattern", ["b.png", "*.jpg", "in/*.jpg", "n", "", "in/sub/b.png/c"])
def test_what_is_wanted_and_not_there(pattern: str) -> None:
    with pytest.raises(BitsBackError):
        select([One(Entry("in/sub/b.png"), 0)], [pattern])
