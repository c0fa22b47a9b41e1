import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitsback.kinds.distinct import distinct


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.uint32, np.uint64, np.int32]), hnp.array_shapes(min_side=0)))
def test_as_numpy_has_it(numbers: np.ndarray) -> None:
    found = distinct(numbers)
    assert np.array_equal(found, np.unique(numbers)) and found.dtype == numbers.dtype
