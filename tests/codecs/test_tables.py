from math import exp
from statistics import NormalDist

import numpy as np
import pytest

from bitsback.codecs import tables
from bitsback.codecs.make_tables import beta_binomial
from bitsback.errors import FormatError

U = np.arange(2049) / 64 - 16


@pytest.mark.parametrize("name", list(tables.HASHES))
def test_every_table_loads_with_its_form(name):
    dtype, shape = tables.FORMS[name]
    assert tables.load(name).shape == shape
    assert tables.load(name).dtype == np.dtype(dtype).newbyteorder("=")


def test_values_are_those_of_the_formulas():
    logistic, normal = tables.load("logistic"), tables.load("normal")
    assert logistic.tolist() == pytest.approx([min(2**32 / (1 + exp(-u)), 2**32 - 1) for u in U], abs=0.51)
    assert normal.tolist() == pytest.approx([min(2**32 * NormalDist().cdf(u), 2**32 - 1) for u in U], abs=0.51)
    quantiles = [2**20 * NormalDist().inv_cdf(i / 8192) for i in range(1, 8192)]
    assert tables.load("quantiles")[1:-1].tolist() == pytest.approx(quantiles, abs=0.51)
    assert tables.load("inverse_scales").tolist() == pytest.approx(
        [2**22 * 2 ** ((16 - s) / 6) for s in range(112)], abs=0.51
    )
    assert tables.load("inverse_ratios").tolist() == pytest.approx(
        [2**20 * 2 ** ((191 - s) / 16) for s in range(224)], abs=0.51
    )
    assert tables.load("exponentials").tolist() == pytest.approx([256 * 2 ** (w / 16) for w in range(256)], abs=0.51)


@pytest.mark.parametrize("name", ["logistic", "normal"])
def test_sigmoids_never_fall(name):
    assert np.all(np.diff(tables.load(name).astype(np.int64)) >= 0)


def test_the_maker_makes_what_is_shipped():
    pytest.importorskip("mpmath")
    row = [a for a in range(32) for b in range(a, 32)].index(5) + 9 - 5
    assert tables.load("beta_binomial")[row].tolist() == beta_binomial(5, 9)
    from bitsback.codecs.make_tables import make

    for name in ("inverse_scales", "inverse_ratios", "exponentials"):
        assert make(name) == tables.load(name).tolist()


def test_a_damaged_table_is_refused(monkeypatch):
    monkeypatch.setitem(tables.HASHES, "logistic", "0" * 64)
    with pytest.raises(FormatError, match=r"logistic\.bin"):
        tables.load.__wrapped__("logistic")
