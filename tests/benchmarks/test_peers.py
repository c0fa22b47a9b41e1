import subprocess
from importlib import import_module

import numpy as np
import pytest

pytest.importorskip("imagecodecs", reason="the extra [bench] is not installed")


def images(*shape: int, dtype: type = np.uint8) -> list[np.ndarray]:
    steps = np.random.default_rng(0).integers(-3, 4, shape)
    return list((np.cumsum(steps, axis=2) + 100).astype(dtype))


@pytest.mark.parametrize("given", [images(4, 24, 20, 3), images(4, 24, 20), images(4, 24, 20, dtype=np.uint16)])
@pytest.mark.parametrize("layout", ["each", "mosaic", "tall"])
def test_every_codec_restores_its_images(given: list[np.ndarray], layout: str) -> None:
    peers = import_module("peers")
    for codec in peers.of_images(given[0]):
        row = peers.measured(codec, layout, given)
        assert (row.images, row.layout) == (4, layout)
        assert row.bits_per_dim == 8 * row.bytes / sum(image.size for image in given)


def test_a_stream_is_the_bytes_of_all_images() -> None:
    peers = import_module("peers")
    given = images(3, 5, 4, dtype=np.uint16)
    (stream,) = peers.arranged(given, "stream")
    assert stream.tobytes() == b"".join(image.tobytes() for image in given)
    assert peers.measured(peers.xz(), "stream", given).bytes == len(peers.xz().encode(stream))


def test_flif_is_given_pnm_files_and_gives_some_back(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = import_module("peers")

    def copied(command: list, **_: object) -> None:
        command[3].write_bytes(command[2].read_bytes())

    monkeypatch.setattr(subprocess, "run", copied)
    for given in (images(2, 6, 5, 3), images(2, 6, 5), images(2, 6, 5, dtype=np.uint16)):
        row = peers.measured(peers.flif(grey=given[0].ndim == 2), "each", given)
        assert row.bytes > sum(image.nbytes for image in given)
    (grey,) = images(1, 6, 5)
    colour = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(peers.flif().decode(peers.flif(grey=True).encode(grey)), colour)


def test_a_codec_that_does_not_restore_its_images_stops_the_run() -> None:
    peers = import_module("peers")
    broken = peers.Codec("broken", lambda image: image.tobytes(), lambda data: np.zeros((24, 20), np.uint8))
    with pytest.raises(SystemExit, match="broken"):
        peers.measured(broken, "each", images(3, 24, 20))


def test_a_mosaic_is_filled_row_by_row() -> None:
    peers = import_module("peers")
    x = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((2, 2), np.uint8)
    (mosaic,) = peers.arranged(list(x), "mosaic")
    assert mosaic[::2, ::2].tolist() == [[0, 1], [2, 3], [4, 5]]
    (tall,) = peers.arranged(list(x), "tall")
    assert tall[::2, 0].tolist() == [0, 1, 2, 3, 4, 5]
