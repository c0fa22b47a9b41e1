import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitsback.archive.fields import (
    MAY_IGNORE,
    Cursor,
    ascending,
    column,
    counted,
    fields,
    read_ascending,
    read_column,
    read_fields,
    read_steps,
    read_strings,
    steps,
    strings,
    unzigzag,
    varint,
    varints,
    zigzag,
)
from bitsback.errors import BitsBackError, FormatError, UnsupportedVersionError

WORD = 1 << 64
words = st.integers(0, WORD - 1) | st.integers(0, 300)
signed = st.integers(-(WORD >> 1), (WORD >> 1) - 1) | st.integers(-9, 9)


@given(st.lists(words))
def test_integers(values: list[int]) -> None:
    data = varints(values)
    assert counted(data) == len(values)
    cursor = Cursor(data)
    assert cursor.varints(len(values)) == values and cursor.left == 0
    assert all(len(varint(value)) <= 10 for value in values)


@pytest.mark.parametrize("value", [-1, WORD])
def test_integers_beyond_the_format_are_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="beyond"):
        varint(value)


@pytest.mark.parametrize(
    "data", ["8000", "ff00", "8080808080808080808000", "ffffffffffffffffff02", "ffffffffffffffffffff01", "80", ""]
)
def test_integers_too_long_too_large_or_cut_are_refused(data: str) -> None:
    with pytest.raises(FormatError):
        Cursor(bytes.fromhex(data)).varint()


@pytest.mark.parametrize("size", [1, 2, 8, 9, 10])
def test_many_integers_are_read_as_one_by_one(size: int) -> None:
    edge = min(WORD, 1 << 7 * size)
    values = [edge - 1, 0, 1, edge >> 1, 127, 128] * 50
    cursor = Cursor(b"\7" + varints(values) + b"\5")
    assert (cursor.varint(), cursor.varints(300), cursor.varint(), cursor.left) == (7, values, 5, 0)
    for wrong in ("8000", "ff00", "ffffffffffffffffff02", "80"):
        with pytest.raises(FormatError):
            Cursor(varints(values) + bytes.fromhex(wrong)).varints(301)


def test_the_largest_integer_is_read() -> None:
    assert Cursor(bytes.fromhex("ffffffffffffffffff01")).varint() == WORD - 1


@given(signed)
def test_zigzag(value: int) -> None:
    assert 0 <= zigzag(value) < WORD and unzigzag(zigzag(value)) == value


@given(st.lists(words, min_size=1, max_size=40) | st.builds(lambda v, n: [v] * n, words, st.integers(1, 40)))
def test_columns(values: list[int]) -> None:
    data = column(values)
    assert read_column(data, len(values)) == values
    assert counted(data) in (1, len(values))


def test_columns_that_do_not_fit_are_refused_before_they_are_made() -> None:
    assert read_column(None, 5, 9) == [9] * 5
    assert read_column(None, 0) == []
    for data, rows in ((b"\1\2", 3), (b"", 1), (b"", 0), (b"\1", 0), (b"\1\x80", 1), (bytes(1 << 20), 7)):
        with pytest.raises(FormatError):
            read_column(data, rows)


@given(st.lists(signed, min_size=1, max_size=40))
def test_steps(values: list[int]) -> None:
    assert read_steps(steps(values), len(values)) == values


def test_steps_are_small_where_values_go_on_evenly() -> None:
    assert steps(range(7, 7000, 1)) != steps(range(1, 7000, 1)) == b"\2"
    assert read_steps(b"\2", 4) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="64 bits"):
        steps([WORD >> 1])


@given(st.sets(st.integers(0, 1 << 40)).map(sorted))
def test_ascending_numbers(values: list[int]) -> None:
    assert read_ascending(ascending(values), len(values)) == values


def test_ascending_numbers_cut_or_too_many() -> None:
    for data, most in ((b"\0\0\0", 2), (b"\0\x80", 9)):
        with pytest.raises(FormatError):
            read_ascending(data, most)


@given(st.lists(st.binary(max_size=9).map(lambda data: data.replace(b"\0", b""))))
def test_strings(values: list[bytes]) -> None:
    assert read_strings(strings(values), len(values)) == values
    if values:
        with pytest.raises(FormatError):
            read_strings(strings(values), len(values) - 1)
        with pytest.raises(FormatError, match="cut short"):
            read_strings(strings(values) + b"x", 99)


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=200), max_size=9))
def test_fields(values: dict[int, bytes]) -> None:
    assert read_fields(fields(values), frozenset(values)) == values
    known = frozenset(list(values)[::2])
    if set(values) - known <= set(range(MAY_IGNORE, 256)):
        assert read_fields(fields(values), known) == {tag: values[tag] for tag in known}
    else:
        with pytest.raises(UnsupportedVersionError):
            read_fields(fields(values), known)


@pytest.mark.parametrize("data", [b"\2\0\1\0", b"\1\0\1\0", b"\0\0", b"\1\5xy", b"\1"])
def test_fields_out_of_order_twice_or_cut_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_fields(data, frozenset({1, 2}))


@given(st.binary(max_size=60))
def test_any_bytes_give_fields_or_a_known_error(data: bytes) -> None:
    try:
        found = read_fields(data, frozenset({1, 2, 3}))
        read_column(found.get(1), 5)
        read_steps(found.get(2), 5)
        read_strings(found.get(3), 5)
    except BitsBackError:
        pass
