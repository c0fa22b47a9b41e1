import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive.names import Names, check_names
from bitsback.errors import UnsafePathError

PARTS = st.sampled_from(["a", "A", "b", "ß", "ss"])


@settings(deadline=None)
@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), max_size=8))
def test_names_that_are_taken_can_stand_side_by_side(wanted: list[str]) -> None:
    names = Names()
    kept = [name.casefold() for name in wanted if not names.problem(name)]
    assert len(set(kept)) == len(kept)
    assert not any(other.startswith(name + "/") for name in kept for other in kept)
    refused = [name.casefold() for name in wanted if name.casefold() not in kept]
    for name in refused:
        assert any(other.startswith(name + "/") or name.startswith(other + "/") for other in kept)


def test_check_names_says_what_is_in_the_way() -> None:
    check_names(["a/b", "a/c", "d"])
    for names in (["a", "A"], ["a", "a/b"], ["a/b", "a"], [".."], ["a", "b\\c"]):
        with pytest.raises(UnsafePathError):
            check_names(names)
