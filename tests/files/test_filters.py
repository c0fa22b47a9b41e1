import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitsback.files.filters import apply_filters, filter_sums, unfilter


def reference(lines, step):
    """The specification's words, one byte at a time."""
    rows = []
    for kind, *line in lines.tolist():
        above, row = (rows[-1] if rows else [0] * len(line)), []
        for x, value in enumerate(line):
            a, b, c = (row[x - step], above[x], above[x - step]) if x >= step else (0, above[x], 0)
            p = a + b - c
            paeth = min((a, b, c), key=lambda candidate: abs(p - candidate))
            row.append((value + [0, a, b, (a + b) // 2, paeth][kind]) % 256)
        rows.append(row)
    return np.array(rows, np.uint8)


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(2, 20))), st.sampled_from([1, 2, 3, 4, 6, 8]))
def test_unfilter_agrees_with_the_specification(lines, step):
    lines[:, 0] %= 5
    rows = np.empty((lines.shape[0], lines.shape[1] - 1), np.uint8)
    assert unfilter(lines, step, rows)
    assert np.array_equal(rows, reference(lines, step))


@settings(deadline=None)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 20))),
    hnp.arrays(np.uint8, 6, elements=st.integers(0, 4)),
    st.sampled_from([1, 2, 3, 4, 6, 8]),
)
def test_filter_then_unfilter(rows, kinds, step):
    lines = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    apply_filters(rows, step, kinds[: len(rows)], lines)
    again = np.empty_like(rows)
    assert unfilter(lines, step, again) and np.array_equal(again, rows)
    sums = np.empty((len(rows), 5), np.int64)
    filter_sums(rows, step, sums)
    magnitudes = np.minimum(lines[:, 1:], 256 - lines[:, 1:].astype(np.int64)).sum(1)
    assert np.array_equal(sums[np.arange(len(rows)), kinds[: len(rows)]], magnitudes)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([[0, 0, 0, 0]], 0),
        ([[50, 51, 52, 53]], 1),
        ([[50, 90, 10, 70], [50, 90, 10, 70]], 2),
        ([[100, 60, 20, 90], [80, 70, 45, 67]], 3),
        ([[10, 10, 99, 99], [50, 50, 99, 99]], 4),
    ],
)
def test_the_smallest_differences_win(rows, kind):
    rows = np.array(rows, np.uint8)
    sums = np.empty((len(rows), 5), np.int64)
    filter_sums(rows, 1, sums)
    assert sums[-1].argmin() == kind


def test_unknown_filters():
    assert not unfilter(np.array([[5, 1, 2]], np.uint8), 1, np.empty((1, 2), np.uint8))
