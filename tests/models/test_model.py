import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitsback.errors import ChecksumError, CodecError, InexactEngineError, ModelNotFoundError
from bitsback.kinds.vae.config import SelfTest
from bitsback.models import Model, candidates, installed, search, shipped
from bitsback.models.file import unpack
from bitsback.models.model import LARGEST
from helpers import drawn_images, tiny_model, tiny_model_file, with_config


def test_identity_is_the_hash_of_what_the_file_holds() -> None:
    data = tiny_model_file()
    model = Model.from_bytes(data)
    assert model.id == hashlib.sha256(unpack(data)).hexdigest()
    assert (model.name, model.shape, model.levels) == ("tiny-256", (8, 12, 1), 256)
    assert model.data == data


def test_load_by_path_and_find_by_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.bbm"
    path.write_bytes(tiny_model_file())
    model = Model.load(path)
    with pytest.raises(ModelNotFoundError, match=model.id):
        Model.find(model.id)
    with pytest.raises(ModelNotFoundError, match="mine"):
        Model.load("mine")
    monkeypatch.setenv("BITSBACK_MODEL_PATH", str(tmp_path))
    assert Model.find(model.id).id == model.id
    assert Model.load("mine").id == model.id
    assert path in installed()
    assert model.id in [m.id for m in candidates((8, 12, 1), np.uint8)]


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.bbm"
    path.write_bytes(tiny_model_file()[:-1])
    with pytest.raises(ChecksumError, match=r"broken\.bbm"):
        Model.load(path)


def test_accepts() -> None:
    grey, binary = tiny_model(256), tiny_model(2)
    assert grey.accepts((8, 12, 1), np.uint8)
    assert grey.accepts((8, 12, 1), np.uint8, 2)
    assert binary.accepts((8, 12, 1), np.uint8, 2)
    assert not binary.accepts((8, 12, 1), np.uint8, 256)
    assert not binary.accepts((8, 12, 1), np.uint8)
    assert not grey.accepts((12, 8, 1), np.uint8)
    assert not grey.accepts((8, 12, 1), np.uint16)


def test_images_that_do_not_fit_are_refused() -> None:
    model = tiny_model(2)
    images = drawn_images(model, 3)
    for bad in (images[..., 0], images[:, 1:], images.astype(np.uint16), images[:0], images * 2):
        with pytest.raises(CodecError):
            model.encode(bad)
    with pytest.raises(CodecError):
        model.decode(model.encode(images), 3, (8, 12, 3))


def test_a_model_that_no_engine_computes_as_announced_is_refused() -> None:
    """The outputs' hash in the file is wrong, as if every engine here were inexact."""
    model = Model.from_bytes(with_config(tiny_model_file(), self_test=SelfTest("0" * 64, "0" * 64)))
    with pytest.raises(InexactEngineError):
        model.encode(drawn_images(model, 1))


@pytest.mark.parametrize("path", sorted(search.ZOO.glob("*.bbm")), ids=lambda path: path.stem)
def test_shipped_models_draw_and_code(path: Path) -> None:
    model = Model.load(path)
    assert model.name == path.stem
    shape = tuple(axis or 28 for axis in model.shape)
    assert model.id in [m.id for m in candidates(shape, np.uint8, model.levels, "max")]
    images = model.draw(5, shape)
    np.testing.assert_array_equal(model.decode(model.encode(images), 5, shape), images)


def test_many_threads_may_ask_for_models_at_once() -> None:
    """In a new process, as the first loading is the delicate one."""
    program = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from bitsback.models import candidates
barrier = Barrier(8)
def ask(_):
    barrier.wait()
    found = candidates((28, 28, 1), "uint8", 2)
    return [id(model.trained) for model in found]
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(ask, range(8)))
assert found[0] and all(one == found[0] for one in found), found
"""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", program], check=True)


def _zoo(folder: Path, monkeypatch: pytest.MonkeyPatch, **models: tuple[str, int]) -> dict[str, str]:
    """Put models into a zoo of our own, as file = (name, seed); their identities."""
    monkeypatch.setattr("bitsback.models.search.ZOO", folder)
    ids = {}
    for file, (name, seed) in models.items():
        path = folder / f"{file.replace('_', '-')}.bbm"
        path.write_bytes(with_config(tiny_model_file(seed=seed), name=name))
        ids[file] = Model.from_bytes(path.read_bytes()).id
    return ids


def test_the_shipped_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped() == {Model.load(path).id for path in search.ZOO.glob("*.bbm")}
    ids = _zoo(tmp_path, monkeypatch, digits=("digits", 1), photos=("photos", 2))
    (tmp_path / "junk.bbm").write_bytes(b"junk")
    assert shipped() == set(ids.values())


def test_a_damaged_file_is_named_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = _zoo(tmp_path, monkeypatch, digits=("digits", 1))
    data = bytearray((tmp_path / "digits.bbm").read_bytes())
    data[-9] ^= 1
    (tmp_path / "digits.bbm").write_bytes(data)
    with pytest.raises(ChecksumError, match=r"digits\.bbm: the model file is damaged"):
        Model.find(ids["digits"])


def test_effort_says_which_models_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _zoo(tmp_path, monkeypatch, photos=("photos", 1), photos_fast=("photos-fast", 2), other_fast=("other-fast", 3))

    def names(effort: str) -> list[str]:
        return sorted(model.name for model in candidates((8, 12, 1), np.uint8, effort=effort))

    assert names("normal") == ["other-fast", "photos"]
    assert names("fast") == ["other-fast", "photos-fast"]
    assert names("max") == ["other-fast", "photos", "photos-fast"]
    for path in tmp_path.glob("*-fast.bbm"):
        path.unlink()
    assert names("fast") == ["photos"]


def test_a_model_is_a_candidate_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = _zoo(tmp_path, monkeypatch, one=("one", 1), two=("one", 1))
    assert ids["one"] == ids["two"]
    assert len(candidates((8, 12, 1), np.uint8)) == 1


def test_models_for_small_images_leave_large_ones_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LARGEST, "tiny", 11)
    _zoo(tmp_path, monkeypatch, tiny=("tiny", 1))
    assert candidates((8, 12, 1), np.uint8) == []
    monkeypatch.setitem(LARGEST, "tiny", 12)
    assert len(candidates((8, 12, 1), np.uint8)) == 1
