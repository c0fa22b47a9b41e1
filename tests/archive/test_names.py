import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive.member import Entry, Type
from bitsback.archive.names import EVERYWHERE, MACOS, POSIX, WINDOWS, Place, Rules, place
from bitsback.errors import UnsafePathError

NFC, NFD = (unicodedata.normalize(form, "café.txt") for form in ("NFC", "NFD"))


def paths(names: list[str], rules: Rules) -> list[str]:
    """Where files go; the ones that are refused are left out."""
    found = place([Entry(name) for name in names], rules)
    return ["/".join(where.parts) for where in found if isinstance(where, Place)]


@pytest.mark.parametrize("rules", [POSIX, MACOS, WINDOWS])
@pytest.mark.parametrize("name", ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "a/./b", "a\0b"])
def test_what_leads_out_is_refused_and_the_others_go_on(name: str, rules: Rules) -> None:
    before, refused, after = place([Entry("x"), Entry(name), Entry("y/z")], rules)
    assert isinstance(before, Place) and isinstance(after, Place)
    assert isinstance(refused, UnsafePathError) and repr(name) in str(refused)
    for kind in (Type.FOLDER, Type.SYMLINK, Type.HARDLINK):
        assert isinstance(place([Entry(name, kind)], rules)[0], UnsafePathError)


POSIX_NAMES = [
    *("a:b", "a\\b", "..\\..\\a", "C:\\a", "end.", "end ", "con/a", "aux.txt", "new\nline", 'q?*<>|"', "\x7f"),
    *("latin\udce9.txt", "...", "~", "Case", "case", NFC, NFD, "x" * 255, "ö" * 127),
]


def test_on_posix_every_name_is_right() -> None:
    assert paths(POSIX_NAMES, POSIX) == POSIX_NAMES
    assert all(isinstance(where, Place) and not where.note for where in place([Entry(name) for name in POSIX_NAMES]))


@pytest.mark.parametrize(
    ("name", "there"),
    [
        *(("a:b.txt", "a_b.txt"), ("2024-05-01T12:30:00.txt", "2024-05-01T12_30_00.txt"), ("a\\b", "a_b")),
        *(("..\\..\\a", ".._.._a"), ("C:\\a", "C__a"), ('<>:"|?*', "_______"), ("new\nline", "new_line")),
        *(("end.", "end_"), ("end ", "end_"), ("...", ".._"), ("a./b", "a_/b"), ("\x1f", "_"), ("a.:", "a._")),
        *(("con", "con_"), ("CON.png", "CON_.png"), ("aux.tar.gz", "aux_.tar.gz"), ("a/nul/b", "a/nul_/b")),
        *(
            ("com1", "com1_"),
            ("LPT9.x", "LPT9_.x"),
            ("COM¹", "COM¹_"),
            ("lpt³.txt", "lpt³_.txt"),
            ("prn .x", "prn_ .x"),
        ),
        *(("conin$", "conin$_"), ("CONOUT$.a", "CONOUT$_.a"), ("com0", "com0_"), ("prn .x", "prn_ .x")),
        *(("latin\udce9.txt", "latin%E9.txt"), ("\udcff\udcfe", "%FF%FE"), ("x" * 256, "x" * 255)),
        *(
            ("𝄞" * 128, "𝄞" * 127),
            ("y" * 300 + ".tiff", "y" * 250 + ".tiff"),
            ("com1." + "x" * 250, "com1_." + "x" * 249),
        ),
        *(
            (name, name)
            for name in ("a b", "con1.png", "console", "com", "lpt10", ".hidden", "größe/数字", "100%", "\ud800")
        ),
    ],
)
def test_windows(name: str, there: str) -> None:
    (where,) = place([Entry(name)], WINDOWS)
    assert isinstance(where, Place)
    assert "/".join(where.parts) == there
    assert bool(where.note) is (name != there)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        *((name, name) for name in ("a:b", "a\\b", "end.", "end ", "aux.txt", "new\nline", 'q?*<>|"', NFC, NFD)),
        *(("latin\udce9.txt", "latin%E9.txt"), ("\ud800", "%ED%A0%80"), ("ö" * 128, "ö" * 127)),
    ],
)
def test_macos(name: str, there: str) -> None:
    (where,) = place([Entry(name)], MACOS)
    assert isinstance(where, Place) and "/".join(where.parts) == there and bool(where.note) is (name != there)


def test_twins() -> None:
    names = ["Case.txt", "case.txt", "CASE.txt", NFC, NFD, "straße", "strasse", "STRASSE"]
    kept = ["Case.txt", "case~2.txt", "CASE~3.txt", NFC]
    assert paths(names, MACOS) == [*kept, "cafe\u0301~2.txt", "straße", "strasse", "STRASSE~2"]
    assert paths(names, WINDOWS) == [*kept, NFD, "straße", "strasse", "STRASSE~2"]
    assert paths(names, Rules(marks=True)) == [*names[:4], "cafe\u0301~2.txt", *names[5:]]
    where = place([Entry(name) for name in names], MACOS)[1]
    assert isinstance(where, Place) and "'Case.txt'" in where.note


def test_a_name_that_is_right_keeps_it_whatever_comes_first() -> None:
    names = ["a:b", "a?b", "a_b", "a_b~2", "A_B"]
    assert paths(names, WINDOWS) == ["a_b~3", "a_b~4", "a_b", "a_b~2", "A_B~5"]


def test_a_folder_is_renamed_once_with_all_that_is_in_it() -> None:
    entries = [
        *(Entry("Data", Type.FOLDER), Entry("Data/x"), Entry("data", Type.FOLDER), Entry("data/x"), Entry("data/y:")),
        *(Entry("run 12:30/a"), Entry("run 12:30/b"), Entry("run 12:30/c", Type.FOLDER), Entry("run 12:30/c/d")),
    ]
    found = [where for where in place(entries, WINDOWS) if isinstance(where, Place)]
    assert ["/".join(where.parts) for where in found] == [
        *("Data", "Data/x", "data~2", "data~2/x", "data~2/y_"),
        *("run 12_30", "run 12_30/b", "run 12_30/c", "run 12_30/c/d")[:0],
        *("run 12_30/a", "run 12_30/b", "run 12_30/c", "run 12_30/c/d"),
    ]
    # A folder that is no member of its own is told about once, with the first thing in it
    assert [bool(where.note) for where in found] == [False, False, True, False, True, True, False, False, False]


def test_what_cannot_stand_beside_each_other_is_refused() -> None:
    for entries, refused in (
        ([Entry("a"), Entry("a")], [1]),
        ([Entry("a"), Entry("a/b"), Entry("a/b/c"), Entry("b")], [1, 2]),
        ([Entry("a/b"), Entry("a")], [1]),
        ([Entry("a", Type.SYMLINK, target="/etc"), Entry("a/passwd")], [1]),
        ([Entry("a/passwd"), Entry("a", Type.SYMLINK, target="/etc")], [1]),
        ([Entry("a", Type.FOLDER), Entry("a", Type.FOLDER), Entry("a/b")], []),
        ([Entry("a/b"), Entry("a", Type.FOLDER)], []),
        ([Entry("a", Type.FOLDER), Entry("a")], [1]),
    ):
        found = place(entries, POSIX)
        assert [k for k, where in enumerate(found) if isinstance(where, UnsafePathError)] == refused


def test_leading_folders_are_dropped() -> None:
    entries = [Entry("a", Type.FOLDER), Entry("a/x"), Entry("a/b/y"), Entry("c"), Entry("d/x"), Entry("../z/x")]
    one = place(entries, POSIX, 1)
    assert one[0] is None and one[3] is None
    assert [where.parts for where in one if isinstance(where, Place)] == [("x",), ("b", "y")]
    assert isinstance(one[4], UnsafePathError) and isinstance(one[5], UnsafePathError)
    assert [where.parts for where in place(entries, POSIX, 2) if isinstance(where, Place)] == [("y",)]


def test_deep_names() -> None:
    chain = [Entry("/".join(["d"] * depth), Type.FOLDER) for depth in range(1, 1501)]
    found = place([*chain, Entry(chain[-1].name + "/a:")], EVERYWHERE)
    assert all(isinstance(where, Place) and len(where.parts) == k for k, where in enumerate(found, 1))
    assert isinstance(found[-1], Place) and found[-1].parts[-1] == "a_"


def test_many_names_that_come_to_the_same() -> None:
    names = [
        f"{a}{b}{c}{d}{e}" for a in "<>:?*|" for b in "<>:?*|" for c in "<>:?*|" for d in "<>:?*|" for e in "<>:?*|"
    ]
    there = paths(names, WINDOWS)
    assert len(set(there)) == len(names) == 6**5


PARTS = st.text(st.sampled_from("aAäÄ\u0308ßsſ\u212aK. :?\\~2\n\udce9con"), min_size=1, max_size=6)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
_WRONG = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$')


@settings(deadline=None)
@given(st.lists(NAMES, max_size=12), st.sampled_from([POSIX, MACOS, WINDOWS, EVERYWHERE, Rules(case=True)]))
def test_whatever_the_names(names: list[str], rules: Rules) -> None:
    """What is placed can stand side by side here; what is right and alone stays; the same again gives the same."""
    entries = [Entry(name) for name in names]
    found = place(entries, rules)
    assert [isinstance(where, UnsafePathError) for where in found] == [
        isinstance(where, UnsafePathError) for where in place(entries, POSIX)
    ]
    placed = ["/".join(where.parts) for where in found if isinstance(where, Place)]
    folded = [rules.fold(path) for path in placed]
    assert len(set(folded)) == len(folded)
    assert not any(other.startswith(path + "/") for path in folded for other in folded)
    # Folders are as different as they were
    pairs = {
        (entry.name.rpartition("/")[0], where.parts[:-1])
        for entry, where in zip(entries, found, strict=True)
        if isinstance(where, Place)
    }
    assert len({rules.fold("/".join(there)) for _, there in pairs}) == len({name for name, _ in pairs}) == len(pairs)
    for path in placed:
        for part in path.split("/"):
            assert part not in ("", ".", "..") and rules.size(part) <= 255
            assert not rules.windows or not _WRONG.search(part)
            assert not rules.text or part.isascii() or "\udce9" not in part
    if rules == POSIX:
        assert placed == [entry.name for entry, where in zip(entries, found, strict=True) if isinstance(where, Place)]
    assert paths(placed, rules) == placed  # what was made right is right
