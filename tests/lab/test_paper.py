import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bitsback.ans import Stack
from bitsback.codecs import BitsBack
from bitsback.data import mnist
from bitsback.errors import BitsBackError, FormatError
from bitsback.lab import paper
from bitsback.lab.vae import BINARISED, SPECS, FloatVAE
from helpers import idx
from lab.networks import images, random_vae

EXTENT = paper.Extent(
    {"binarised": 1, "full": 1}, 20, 12, 5, {"binarised": 6, "full": 6}, (2, 12), (10, 16), ((1, 2), (4, 1))
)


def noise(count: int, seed: int = 0) -> np.ndarray:
    """Noise with an empty border, as digits have."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)
    pixels[:, :6] = 0
    return pixels


def kept(folder: Path, images: np.ndarray, extent: paper.Extent) -> None:
    """Weights of both networks, as if they had been trained."""
    import xxhash

    for spec in SPECS:
        with (folder / f"{spec.name}.npz").open("wb") as file:
            random_vae(spec).save(file)
        card = {"epochs": extent.epochs[spec.name], "seed": 0, "images": len(images), "torch": "none"}
        card |= {"data": xxhash.xxh3_64_hexdigest(images.tobytes()), "history": [{"seconds": 1.5}]}
        (folder / f"{spec.name}.json").write_text(json.dumps(card))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[paper.Measured]:
    folder = tmp_path_factory.mktemp("paper")
    idx(folder / f"{mnist.TRAIN}.gz", noise(30))
    idx(folder / mnist.TEST, noise(15, seed=1))
    kept(folder, mnist.load(folder, mnist.TRAIN)[:20], EXTENT)
    return paper.reproduce(folder, folder, EXTENT)


def test_everything_is_measured(found: list[paper.Measured]) -> None:
    for one in found:
        assert one.images == 12 and one.seconds["training"] == 1.5
        assert one.rate == pytest.approx(one.elbo, rel=0.05)
        assert 8 * 4 / (12 * 784) < one.whole - one.rate < (one.initial + 100) / (12 * 784)
        assert [k for k, _ in one.running] == list(range(5, 13))
        assert [p.value for p in one.latents] == [2, 12] and [p.value for p in one.pixels] == [10, 16]
        assert [(s.images, s.sets) for s in one.starts] == [(1, 2), (4, 1)]
        assert all(s.random > s.elbo and s.own < s.random for s in one.starts)
        assert one.peers.keys() == {"bz2", "gzip", "PNG", "WebP"}
    assert found[0].misread["PNG"] < found[0].peers["PNG"] and not found[1].misread
    json.dumps([asdict(one) for one in found])


def test_running_rate_is_that_of_the_window(found: list[paper.Measured]) -> None:
    one = found[0]
    levels = paper.prepared(BINARISED, images(SPECS[1], 1))
    assert set(np.unique(levels)) <= {0, 1}
    assert min(y for _, y in one.running) <= one.rate * 1.05


def test_the_least_initial_bits() -> None:
    vae, x = random_vae(), images(SPECS[1], 1)
    stack, first = paper.least(vae, x, seed=3)
    assert len(first) > 0 and not stack.is_initial()
    assert np.array_equal(vae.codec(1).pop(stack), x) and stack == first


def test_a_wrong_decoder_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(BitsBack):  # type: ignore[type-arg]
        def pop(self, stack: Stack) -> np.ndarray:
            return super().pop(stack) ^ np.uint8(1)

    vae, x = random_vae(BINARISED), images(BINARISED, 4)
    monkeypatch.setattr(FloatVAE, "codec", lambda self, n: Wrong(self.prior(n), self.likelihood, self.posterior))
    with pytest.raises(BitsBackError, match="image 3 was not decoded as it was"):
        paper.code(vae, x, seed=0)


def test_misreading() -> None:
    """What Pillow's issue 3109 shows: the unit matrix of five rows."""
    eye = np.zeros((28, 28), np.uint8)
    eye[0, 4] = eye[1, 0] = 1
    stride = 4
    place = stride * np.arange(28)[:, None] + np.arange(28)
    wrong = eye.reshape(-1)[place]
    assert wrong[0, 4] == 1 and wrong[1, 0] == 1 and wrong[6, 4] == 1  # pixel 28 is seen at (7, 0), (6, 4), ...
    assert paper.misread(eye[None, :, :, None])["PNG"] > 0


def test_other_weights_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    x = images(SPECS[1], 20)
    kept(tmp_path, x, EXTENT)
    assert paper.weights(BINARISED, x, tmp_path, 1, 0, print)[0].spec is BINARISED
    monkeypatch.setitem(sys.modules, "torch", None)
    for epochs, seed, part in ((2, 0, x), (1, 1, x), (1, 0, x[:10])):
        with pytest.raises(BitsBackError, match=r"training needs torch: pip install 'bitsback\[train\]'"):
            paper.weights(BINARISED, part, tmp_path, epochs, seed, print)
    (tmp_path / "binarised.npz").write_bytes(b"nothing")
    with pytest.raises(FormatError):
        paper.weights(BINARISED, x, tmp_path, 1, 0, print)
