import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]


def test_a_table(run: Run, folder: Path) -> None:
    done = run("bench", "in", "--model", "none")
    assert done.code == 0
    lines = done.out.decode().splitlines()
    assert lines[0].split() == ["codec", "bytes", "bits/dim", "ratio", "enc", "MB/s", "dec", "MB/s"]
    assert [line.split()[0] for line in lines[1:6]] == ["bitsback", "gzip", "bz2", "xz", "PNG"]
    assert done.err[0] == "5 images, 4,500 samples, 4.50 kB"


@pytest.mark.parametrize("shape", [(4, 9, 9, 3), (4, 9, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_json_and_fewer_images(run: Run, tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 9, shape).astype(dtype))
    done = run("bench", "a.npy", "--json", "-n", "2", "--model", "none", "-q")
    facts = json.loads(done.out)
    assert facts["images"] == 2
    rows = {row["codec"]: row for row in facts["rows"]}
    assert {"bitsback", "gzip -9", "bz2 -9", "xz -6"} <= rows.keys()
    assert ("WebP" in rows) == (dtype == np.uint8)
    assert ("PNG" in rows) == (dtype == np.uint8 or len(shape) == 3)
    for row in rows.values():
        assert row["bits_per_dim"] == pytest.approx(8 * row["bytes"] / facts["samples"])


def test_no_images(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    done = run("bench", "a.txt")
    assert done.code == 1 and done.err[0].startswith("bitsback: there are no images among the inputs")


def test_jpeg_files(run: Run, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.jpg")
    done = run("bench", "a.jpg")
    assert done.code == 0 and done.err[0].startswith("1 JPEG file, ")
    assert [line.split()[0] for line in done.out.decode().splitlines()[:2]] == ["codec", "bitsback"]
    np.save(tmp_path / "b.npy", levels)
    facts = json.loads(run("bench", "a.jpg", "b.npy", "--json").out)
    assert facts["images"] == 1 and facts["rows"]
    assert facts["file_bytes"] == (tmp_path / "a.jpg").stat().st_size
    peers = {"JPEG XL"} if find_spec("imagecodecs") else set()  # of the extra "bench"
    assert {"bitsback", *peers} <= {row["codec"] for row in facts["file_rows"]}
