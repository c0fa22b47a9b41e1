import io
from concurrent.futures import BrokenExecutor, Future

import numpy as np
import pytest

import bitsback
from bitsback.archive import workers
from bitsback.archive.coding import encode_block
from bitsback.archive.library import ADAPTIVES, FILTERED, PLAIN
from bitsback.archive.workers import work
from bitsback.errors import BitsBackError

RANDOM = np.random.default_rng(5)
IMAGES = (RANDOM.integers(0, 2, (12, 28, 28)) * 255).astype(np.uint8)
SMALL = {"model": "digits", "block": 3136}


class Pool:
    """An executor whose workers are lost as often as ``losses`` says, each time in its own way."""

    def __init__(self, *losses: Exception) -> None:
        self.losses, self.tasks, self.given = list(losses), 0, []

    def submit(self, function, asked, packed, given):
        assert function is work
        assert {type(asked), type(packed)} == {str, bytes}
        self.tasks += 1
        self.given += given
        future: Future = Future()
        if self.losses:
            future.set_exception(self.losses.pop())
        else:
            future.set_result(function(asked, packed, given))
        return future


@pytest.fixture(scope="module")
def local():
    return bitsback.compress(IMAGES, **SMALL)


def test_the_same_bytes(local):
    pool = Pool()
    assert bitsback.compress(IMAGES, **SMALL, executor=pool) == local
    assert pool.tasks == 6  # three blocks, coded and decoded


@pytest.mark.parametrize("coder", [*ADAPTIVES.values(), FILTERED, PLAIN])
def test_coders_are_the_same_there(coder, tmp_path):
    """In haste or with time the adaptive kind makes other bytes of these, and nothing but its settings tells it from
    itself."""
    y, x = np.mgrid[:64, :80]
    waves = 100 + 40 * np.sin(x / 5 + y / 9) + 30 * np.sin(y * x / 90) + RANDOM.integers(0, 3, (64, 80))
    lots = [waves.astype(np.uint8)[None, ..., None]]
    here = encode_block(lots, (), [coder], verify=False)
    there = workers.Workers(Pool()).encode(lots, (), [coder], False)
    assert there == here
    kept = workers.Kept(tmp_path)
    for other in ADAPTIVES.values():
        kept.encoded(lots, (), [other], lambda other=other: encode_block(lots, (), [other], verify=False))
    assert kept.encoded(lots, (), [coder], lambda: here) == here


@pytest.mark.parametrize("losses", [[OSError()] * 2, [BrokenExecutor()], [OSError()] * 99])
def test_lost_workers(local, losses, monkeypatch):
    monkeypatch.setattr(workers, "WAITS", (0.0, 0.0))
    out = io.BytesIO()
    report = bitsback.compress(IMAGES, out, **SMALL, executor=Pool(*losses))
    assert out.getvalue() == local
    assert bool(report.warnings) == (losses[0].__class__ is BrokenExecutor or len(losses) > 2)


def test_another_version_is_refused(monkeypatch):
    asked = workers.version()
    monkeypatch.setattr(workers, "version", lambda: asked)

    class Older(Pool):
        def submit(self, function, asked, packed, given):
            monkeypatch.setattr(workers, "version", lambda: "0.1 (abc)")
            future = super().submit(function, asked, packed, given)
            monkeypatch.setattr(workers, "version", lambda: asked)
            return future

    with pytest.raises(BitsBackError, match=r"a worker runs bitsback 0.1 \(abc\)"):
        bitsback.compress(IMAGES, **SMALL, threads=1, executor=Older())


def test_models_are_sent_by_hash_and_once(local, monkeypatch):
    from bitsback.archive.library import Library
    from bitsback.models import Model

    model, shelf = Model.load("digits"), Library(shipped=False)
    monkeypatch.setattr(workers, "_library", lambda: shelf)
    pool = Pool()
    assert bitsback.compress(IMAGES, model=model, block=3136, threads=1, executor=pool) == local
    assert pool.given == [model.id]


def test_a_run_goes_on_where_it_was(local, tmp_path, monkeypatch):
    folder, coded = tmp_path / "kept", []
    real = workers.encode_block
    for stop in (2, 99):
        lots = []

        def encode(images, *rest, stop=stop, lots=lots, **more):
            if len(lots) == stop:
                raise KeyboardInterrupt
            lots.append(images)
            return real(images, *rest, **more)

        monkeypatch.setattr("bitsback.archive.writer.encode_block", encode)
        try:
            archive = bitsback.compress(IMAGES, **SMALL, threads=1, resume=folder)
        except KeyboardInterrupt:
            blocks = sorted(folder.iterdir())
            assert len(blocks) == 2
            blocks[0].write_bytes(blocks[0].read_bytes()[:-1])  # damaged: done anew
            (folder / "else").touch()
        coded.append(len(lots))
    assert archive == local
    assert coded == [2, 2]
    assert [path.name for path in folder.iterdir()] == ["else"]
