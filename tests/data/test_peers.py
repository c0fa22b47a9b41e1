import io
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow

from bitsback.data import peers
from bitsback.errors import ImageError

NAMES = ("PNG", "WebP", "JPEG XL", "JPEG XL 1", "JPEG XL 9")


def named(name: str) -> peers.Peer:
    if name.startswith("JPEG XL"):
        pytest.importorskip("imagecodecs", reason="JPEG XL needs imagecodecs")
    peer = peers.find(name)
    assert peer is not None and peer.name == name
    return peer


def noise(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2 if dtype is bool else 200, shape).astype(dtype)


images = st.one_of(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4]))),
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(1))),
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(image=images)
def test_images_come_back(name: str, image: np.ndarray) -> None:
    peer = named(name)
    assert peers.same(peer.decode(peer.encode(image)), image)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(7, 5, 1), (7, 5, 3), (7, 5, 4)])
def test_grey_pixels_and_opaque_ones(name: str, shape: tuple[int, ...]) -> None:
    image = np.repeat(noise((*shape[:2], 1)), shape[2], 2)
    image[..., 3:] = 255
    peer = named(name)
    assert peers.same(peer.decode(peer.encode(image)), image)


def test_what_is_not_the_same() -> None:
    image = noise((7, 5, 3))
    assert not peers.same(image ^ 1, image)
    assert not peers.same(image[:, :4], image)
    assert not peers.same(image, image[..., 0])
    clear = np.dstack([image, noise((7, 5, 1))])
    assert not peers.same(image, clear)
    assert not peers.same(clear, image)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "takes"),
    [
        ("PNG", (7, 5), np.uint16, True),
        ("PNG", (7, 5, 2), np.uint8, True),
        ("PNG", (7, 5, 3), np.uint16, False),
        ("WebP", (7, 5), np.uint16, False),
        ("WebP", (7, 5, 2), np.uint8, False),
        ("WebP", (1, 17000), np.uint8, False),
        ("JPEG XL", (7, 5, 2), np.uint8, True),
        ("JPEG XL", (7, 5, 4), np.uint16, True),
        ("JPEG XL", (7, 5, 3), np.float64, False),
    ],
)
def test_what_a_format_takes(name: str, shape: tuple[int, ...], dtype: type, takes: bool) -> None:
    peer, image = named(name), noise(shape, dtype)
    if takes:
        assert peers.same(peer.decode(peer.encode(image)), image)
    else:
        with pytest.raises(ImageError, match=f"{name} does not take {np.dtype(dtype)}"):
            peer.encode(image)


def test_more_effort_makes_smaller_files() -> None:
    image = np.add.outer(np.arange(64), np.arange(64) // 3).astype(np.uint8)[..., None] + noise((64, 64, 3)) // 50
    assert len(named("JPEG XL 9").encode(image)) < len(named("JPEG XL 1").encode(image))
    assert named("JPEG XL").encode(image) == named("JPEG XL 7").encode(image)


@pytest.mark.parametrize("name", ["JPEG XL 0", "JPEG XL 10", "JPEG XL fast", "JPEG XLS", "GIF", "7", ""])
def test_there_is_no_such_codec(name: str) -> None:
    assert peers.find(name) is None


def test_without_imagecodecs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert peers.find("JPEG XL 9") is None
    sizes = peers.file_sizes([noise((9, 9, 1))])
    assert sizes["JPEG XL 9"] is None and sizes["PNG"]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_sizes_are_those_of_the_files(threads: int) -> None:
    images = [noise((9, n, 3), seed=n) for n in range(1, 9)]
    told: list[tuple[int, int]] = []
    sizes = peers.file_sizes(images, ["PNG", "WebP"], threads, lambda *now: told.append(now))
    assert sizes == {name: sum(len(named(name).encode(image)) for image in images) for name in ("PNG", "WebP")}
    assert told == sorted(told) and told[0] == (0, 16) and told[-1] == (16, 16)


def test_a_codec_that_does_not_take_all_images_has_no_size() -> None:
    sizes = peers.file_sizes([noise((9, 9, 3)), noise((9, 9, 2))], ["PNG", "WebP", "JPEG XS"])
    assert sizes["PNG"] and sizes["WebP"] is None and sizes["JPEG XS"] is None


def test_a_codec_that_gives_other_pixels_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_unpillow", lambda data: np.zeros((9, 9, 3), np.uint8))
    assert peers.file_sizes([noise((9, 9, 3))], ["PNG"]) == {"PNG": None}


@pytest.mark.parametrize("name", ["PNG", "JPEG XL 9"])
def test_two_values_take_a_bit_each(name: str) -> None:
    named(name)
    images = [noise((64, 64, 1), bool, seed).astype(np.uint8) for seed in range(3)]
    sizes = peers.file_sizes(images, [name])
    assert sizes[name] is not None and sizes[name] < 3 * (64 * 64 // 8 + 200)
    third = images[0] + noise((64, 64, 1), bool, 9)
    assert (peers.file_sizes([third] * 3, [name])[name] or 0) > 1.2 * sizes[name]


@pytest.mark.parametrize("name", peers.TRANSCODERS)
def test_transcoders_give_the_same_file_or_refuse(name: str) -> None:
    other = peers.transcoder(name)
    if other is None:
        pytest.skip("not installed")
    stream = io.BytesIO()
    Pillow.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32)).save(stream, "JPEG")
    data = stream.getvalue()
    assert (coded := other.encode(data)) is not None and other.decode(coded) == data
    assert other.encode(b"no such file") is None


def test_a_transcoder_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.TRANSCODERS, "Lepton", ("no_such_module", "a", "b"))
    assert peers.transcoder("Lepton") is None
