import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from helpers import DATA, needs_mnist


def test_time_is_a_median_within_a_budget() -> None:
    measure = import_module("measure")
    calls: list[int] = []
    result, seconds = measure.cpu(lambda: calls.append(1) or len(calls), repeats=5)
    assert (result, len(calls)) == (5, 5)
    assert seconds >= 0
    measure.cpu(lambda: calls.append(1), repeats=5, budget=0.0)
    assert len(calls) == 6


@needs_mnist
@pytest.mark.data
def test_digits_are_the_test_set() -> None:
    measure = import_module("measure")
    grey, binary = measure.digits(DATA, "8-bit"), measure.digits(DATA, "binarised", 7)
    assert grey.shape == (10000, 28, 28)
    assert binary.shape == (7, 28, 28)
    assert set(np.unique(binary)) == {0, 1}
    assert not binary[grey[:7] == 0].any()
    assert binary[grey[:7] == 255].all()


def test_missing_digits_are_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="t10k"):
        import_module("measure").digits(tmp_path, "8-bit")


def test_results_say_where_they_come_from(tmp_path: Path) -> None:
    measure = import_module("measure")
    measure.write(tmp_path / "new" / "results.json", {"machine": measure.machine()})
    about = json.loads((tmp_path / "new" / "results.json").read_text())["machine"]
    assert about["cpu"]
    assert about["versions"]["numpy"] == np.__version__
    assert np.__version__ in measure.line(about)


def test_a_table_is_markdown() -> None:
    assert import_module("measure").table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
