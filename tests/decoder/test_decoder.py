"""The second decoder, end to end: golden archives, its command, and that it takes nothing from the package."""

import ast
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import bitsback
from bitsback.archive.packing import DICTIONARY
from bitsback.files import fax
from bitsback.kinds.jpeg import tables as t
from bitsback.kinds.jpeg.config import BLOCKS, JpegConfig
from bitsback.kinds.jpeg.layout import Component, Layout
from bitsback.kinds.jpeg.start import SHA256
from bitsback.models import Model
from bitsback_decoder import jpeg, tables
from bitsback_decoder.__main__ import main, target_of
from bitsback_decoder.archive import decoded, digest_of, read
from bitsback_decoder.model import SlowModel
from helpers import drawn_images
from models.context_models import context_file, vae_file
from phases import phases_file

ROOT = Path(__file__).parents[2]
DECODER, PACKAGE, GOLDEN = ROOT / "decoder", ROOT / "src" / "bitsback", ROOT / "tests" / "golden"
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())
TYPES = ("file", "folder", "symlink", "hardlink")


def test_it_imports_nothing_else() -> None:
    names = set()
    for path in DECODER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).split(".")[0])
    assert names - sys.stdlib_module_names == {"bitsback_decoder", "numpy", "xxhash"}


def test_its_tables_are_those_of_the_package() -> None:
    for path in (DECODER / "bitsback_decoder" / "tables").glob("*.bin"):
        where = "kinds/jpeg/start" if path.stem == "jpeg" else f"codecs/tables/{path.stem}"
        assert path.read_bytes() == (PACKAGE / f"{where}.bin").read_bytes()
    assert tables.DICTIONARY == DICTIONARY
    assert (tables.WHITE, tables.BLACK, tables.LONG) == (fax.WHITE, fax.BLACK, fax.LONG)


@pytest.mark.parametrize("name", ["grown.bba", "own.bba"])
def test_a_golden_archive(name: str) -> None:
    """The others take longer: benchmarks/faults/second_decoder.py decodes all."""
    found = {}
    for member, one in read((GOLDEN / name).read_bytes())[1].items():
        what = f"{TYPES[one.type]} {one.target.decode()}".strip()
        digest = "" if one.content is None else digest_of(one.content, one.blob, one.arrays, one.file).hex()
        found[member.decode()] = f"{what} {digest}".strip()
    assert found == MANIFEST[name]


def test_the_command_writes_a_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    inside = Path("in")
    (inside / "deep" / "empty").mkdir(parents=True)
    (inside / "deep" / "a.txt").write_text("text")
    (inside / "ramp.pgm").write_bytes(b"P5 12 9 255\n" + bytes(range(108)))
    os.link(inside / "deep" / "a.txt", inside / "b.txt")
    (inside / "link").symlink_to("deep/a.txt")
    os.utime(inside / "b.txt", ns=(1, 10**18 + 1))
    bitsback.compress(inside, "a.bba", model="none")
    monkeypatch.setattr(sys, "argv", ["bitsback_decoder", "a.bba", "-C", "out"])
    main()
    assert capsys.readouterr().out == "7 members\n"
    out = Path("out", "in")
    names = sorted(path.relative_to(inside) for path in inside.rglob("*"))
    assert sorted(path.relative_to(out) for path in out.rglob("*")) == names
    for name in ("ramp.pgm", "deep/a.txt", "b.txt", "deep"):
        assert (out / name).is_dir() or (out / name).read_bytes() == (inside / name).read_bytes()
        assert (out / name).stat().st_mtime_ns == (inside / name).stat().st_mtime_ns
        assert (out / name).stat().st_mode == (inside / name).stat().st_mode
    assert (out / "link").readlink() == Path("deep/a.txt") and (out / "b.txt").samefile(out / "deep" / "a.txt")


def test_what_leads_out_is_refused(tmp_path: Path) -> None:
    for name in (b"../a", b"/a", b"a//b", b"a/../../b"):
        with pytest.raises(ValueError, match="no name inside"):
            target_of(tmp_path, name)
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(ValueError, match="symbolic link"):
        target_of(tmp_path, b"link/a")


def test_an_own_model_of_coefficients() -> None:
    random = np.random.default_rng(0)
    tensors = {
        "slots": random.integers(-40, 41, t.SLOTS).astype(np.int8),
        "weights": random.integers(-2000, 2001, t.SETS * t.LANES).astype(np.int16),
        "single": random.integers(-128, 128, t.SINGLE).astype(np.int8),
    }
    model = Model.made(JpegConfig(name="own", image=BLOCKS, base=SHA256), tensors)
    layout = Layout((Component(3, 2, 1, 1, tuple(range(1, 65))),))
    blocks = np.concatenate([layout.blocks(), random.integers(-9, 10, (6, 64)).astype(np.int16).view(np.uint16)])
    blocks = blocks.reshape(-1, 8, 8, 1)
    payload, own = model.encode(blocks), SlowModel(model.data)
    np.testing.assert_array_equal(jpeg.decoded(payload, len(blocks), own), blocks)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(jpeg.decoded(payload, len(blocks)), blocks)  # it was another start


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_payloads_of_kinds_with_weights(kind: int) -> None:
    data = {2: lambda: context_file((1, None, 0, 2)), 3: lambda: vae_file(2), 4: lambda: phases_file(1, 2)}[kind]()
    model = Model.from_bytes(data)
    images = drawn_images(model, 2) if kind == 3 else np.random.default_rng(0).integers(0, 2, (2, 5, 6, 1), np.uint8)
    images = images.reshape(*images.shape[:3], 1)
    np.testing.assert_array_equal(decoded(kind, model.encode(images), images.shape, 1, SlowModel(data)), images)
