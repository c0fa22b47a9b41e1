"""A start of one's own for JPEG files: from a folder to a model, and what compress does with it."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bitsback
from bitsback.cli import main
from bitsback.errors import CodecError, ImageError, ModelError
from bitsback.kinds.jpeg import known
from bitsback.kinds.jpeg.config import BLOCKS, JpegConfig
from bitsback.kinds.jpeg.start import SHA256
from bitsback.models import Model
from bitsback.training import coefficients


def picture(seed: int) -> bytes:
    """A JPEG file unlike photos: stripes, of one encoder."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((48, 64))
    levels = 128 + 100 * np.sign(np.sin((x + 9 * rng.random()) / 3 + y * rng.integers(3)))
    stream = io.BytesIO()
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=60)
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files")
    for number in range(30):
        (path / f"{number}.jpg").write_bytes(picture(number))
    (path / "broken.jpg").write_bytes(picture(0)[:30])
    (path / "again.jpg").write_bytes(picture(0))
    return path


def found_by_itself(archive: Path, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is installed takes part: embedded it costs too much here, and where it need not be it is taken."""
    monkeypatch.setenv("BITSBACK_MODEL_PATH", str(model.parent))
    alone = archive.with_name("alone.bba")
    assert bitsback.compress(folder, alone).models == []
    report = bitsback.compress(folder, alone, embed_model=False, force=True)
    assert [use.name for use in report.models] == ["mine"] and not report.models[0].embedded
    assert [name for group in report.groups for name, _ in group.others] == ["jpeg"]


def test_what_is_held_out_stays_so(tmp_path: Path) -> None:
    files = {hashlib.sha256(bytes([n])).digest(): tmp_path / f"{n}.jpg" for n in range(100)}
    learned, held_out = coefficients._split(files)
    assert held_out and sorted(learned + held_out) == sorted(files.values())
    for few in (2, 3, 30, 60):
        before = coefficients._split(dict(list(files.items())[:few]))
        assert all(before) and not set(before[0]) & set(held_out)


def test_from_a_folder_to_a_smaller_archive(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "mine.bbm"
    with pytest.raises(SystemExit) as done:
        main(["train", str(folder), "-o", str(out), "--minutes", "1"])
    assert done.value.code == 0
    card = json.loads(out.with_suffix(".json").read_text())
    assert 1 <= card["data"]["held_out"] <= 8 and card["data"]["files"] > 20  # by hashes, which depend on the encoder
    assert (
        card["held_out_bytes"]["bitsback, mine"] < card["held_out_bytes"]["bitsback"] < card["held_out_bytes"]["files"]
    )
    archive = tmp_path / "a.bba"
    report = bitsback.compress(folder, archive, model=out)
    assert [use.name for use in report.models] == ["mine"] and report.models[0].embedded
    found_by_itself(archive, folder, out, monkeypatch)
    out.unlink()
    bitsback.decompress(archive, tmp_path / "back")
    with bitsback.open(archive) as opened:
        assert opened[0].shape == (48, 64)  # by the model that is in the archive
    found = {path.name: path.read_bytes() for path in (tmp_path / "back").rglob("*.jpg")}
    assert found == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_training_is_reproducible_and_told(folder: Path) -> None:
    told: list[str] = []
    one, two = (coefficients.fit(sorted(folder.glob("*.jpg")), "x", 1.0, note=told.append) for _ in range(2))
    assert one.model.data == two.model.data
    assert "1 files cannot be taken apart, and are not learned from" in told
    model = one.model
    assert (model.tag, model.takes) == (5, "coefficients of JPEG files")
    blocks = known.blocks()
    np.testing.assert_array_equal(model.decode(model.encode(blocks), len(blocks), (8, 8, 1), np.uint16), blocks)
    with pytest.raises(CodecError):
        model.encode(blocks.astype(np.uint8))
    assert model.draw(5).shape == (5, 8, 8, 1)


def test_too_few_files(folder: Path) -> None:
    with pytest.raises(ImageError):
        coefficients.fit([folder / "0.jpg", folder / "again.jpg", folder / "broken.jpg"], "x")


def test_models_that_do_not_fit(folder: Path) -> None:
    made = coefficients.fit(sorted(folder.glob("1*.jpg")), "x", 1.0).model
    for change in ({"base": "0" * 64}, {"image": BLOCKS.__class__(9, 8, 1, 256)}):
        config = JpegConfig(**({"name": "x", "image": BLOCKS, "base": SHA256} | change))
        with pytest.raises(ModelError):
            Model.made(config, made.tensors)
    config = JpegConfig(name="x", image=BLOCKS, base=SHA256)
    with pytest.raises(ModelError):
        Model.made(config, made.tensors | {"slots": made.tensors["slots"][:-1]})
