import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bitsback.archive import Archive, Library, pool, write_archive
from bitsback.archive.coding import Coded, decode_bytes, decode_images, encode_chunk
from bitsback.archive.members import RouteCode, decode_head
from bitsback.archive.plan import Item, Planner
from bitsback.errors import BitsBackError, ChecksumError, FormatError, ModelNotFoundError


def code(item: Item, library: Library, **options: Any) -> Coded:
    (plan,) = Planner().plans([item])
    return encode_chunk(plan, library, **options)


def decode(coded: Coded, library: Library) -> np.ndarray:
    head = decode_head(coded.head)
    assert head.images
    return decode_images(head.images, coded.payload, library)


def test_the_model_is_taken_where_it_is_smaller(make: SimpleNamespace, library: Library) -> None:
    images = make.digits(200)
    coded = code(make.image_item(0, "a", images), library)
    assert coded.label == "model fake-256"
    assert "predictor" in coded.reason
    assert np.array_equal(decode(coded, library), images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [8, 9])
def test_two_valued_images_keep_their_values(make: SimpleNamespace, dtype: type, size: int) -> None:
    library = Library([make.model(levels=2)], shipped=False)
    images = np.where(make.digits(50, size) > 99, np.array(201, dtype), np.array(3, dtype))
    coded = code(make.image_item(0, "a", images), library)
    section = decode_head(coded.head).images
    assert section and section.levels == (3, 201)
    decoded = decode(coded, library)
    assert decoded.dtype == dtype
    assert np.array_equal(decoded, images)


def test_a_model_that_decodes_wrongly_is_passed_over(make: SimpleNamespace) -> None:
    library = Library([make.model(wrong=True)], shipped=False)
    images = make.digits(40)
    coded = code(make.image_item(0, "a", images), library)
    assert coded.label == "predictor"
    assert coded.warnings == ["model fake-256 was not used: decoding does not give the same pixels"]
    assert np.array_equal(decode(coded, library), images)
    trusted = code(make.image_item(0, "a", images), library, verify=False)
    with pytest.raises(ChecksumError, match="other pixels"):
        decode(trusted, library)


def test_a_model_that_refuses_is_passed_over(make: SimpleNamespace) -> None:
    class Refusing(make.model):  # type: ignore[misc, name-defined]
        def encode(self, images: np.ndarray, threads: int = 1) -> bytes:
            raise BitsBackError("no")

    coded = code(make.image_item(0, "a", make.digits(40)), Library([Refusing()], shipped=False))
    assert coded.label == "predictor"
    assert coded.warnings == ["model fake-256 was not used: no"]


def test_noise_never_grows(library: Library) -> None:
    from bitsback.files import from_array

    noise = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    picture = from_array(noise)
    item = Item(0, "a.npy", noise.nbytes + 128, None, None, picture, lambda: bytes(noise.nbytes + 128))
    coded = code(item, library)
    assert coded.label == "plain"
    assert len(coded.payload) <= noise.nbytes + 128
    assert np.array_equal(decode(coded, library)[..., 0], noise)


def test_a_file_smaller_than_its_coded_images_is_kept(make: SimpleNamespace, library: Library) -> None:
    coded = code(make.image_item(0, "a", make.digits(5), size=40), library)
    assert coded.label in ("stored", "packed")
    assert "smaller than" in coded.reason
    head = decode_head(coded.head)
    assert head.images is None
    assert decode_bytes(head, coded.payload) == b"the file".ljust(40)


def test_an_unknown_model_is_named(make: SimpleNamespace, library: Library, model: SimpleNamespace) -> None:
    coded = code(make.image_item(0, "a", make.digits(200)), library)
    with pytest.raises(ModelNotFoundError, match=model.id):
        decode(coded, Library(shipped=False))


def test_sections_must_fill_the_payload(make: SimpleNamespace, library: Library) -> None:
    coded = code(make.image_item(0, "a", make.digits(200)), library)
    head = decode_head(coded.head)
    assert head.images
    with pytest.raises(FormatError):
        decode_images(head.images, coded.payload[: head.images.size - 1], library)
    with pytest.raises(FormatError):
        decode_bytes(head, coded.payload + b"\0")
    text = code(make.file_item(0, "t", b"words " * 99), library)
    with pytest.raises(FormatError):
        decode_bytes(decode_head(text.head), text.payload + b"\0")


def test_plain_samples_are_little_endian(library: Library) -> None:
    from bitsback.archive.routes import PlainRoute

    images = np.array([[[[1, 258]]]], np.uint16)
    payload = PlainRoute().encode(images)
    assert payload == b"\1\0\2\1"
    assert np.array_equal(PlainRoute().decode(payload, 1, (1, 1, 2), "uint16"), images)
    with pytest.raises(FormatError):
        PlainRoute().decode(payload, 2, (1, 1, 2), "uint16")
    assert PlainRoute.code == RouteCode.PLAIN


def test_a_forced_model_is_used_wherever_it_fits(make: SimpleNamespace, model: SimpleNamespace) -> None:
    library = Library([model], shipped=False, forced=True)
    ramp = np.tile(np.arange(8, dtype=np.uint8)[:, None], (50, 8, 1, 1))
    assert code(make.image_item(0, "a", ramp), Library([model], shipped=False)).label == "predictor"
    coded = code(make.image_item(0, "a", ramp), library)
    assert (coded.label, coded.reason) == ("model fake-256", "asked for")
    other = code(make.image_item(0, "a", make.digits(9, 5)), library)
    assert (other.label, other.reason) == (
        "predictor",
        "the model fake-256 does not take images of 5x5x1 uint8 samples",
    )


def test_a_forced_model_that_fails_is_passed_over(make: SimpleNamespace) -> None:
    library = Library([make.model(wrong=True)], shipped=False, forced=True)
    images = make.digits(40)
    coded = code(make.image_item(0, "a", images), library)
    assert coded.label == "predictor" and len(coded.warnings) == 1
    assert np.array_equal(decode(coded, library), images)


def test_a_large_chunk_is_coded_by_several_threads(make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer and the reader give it as many as it may keep busy, and no byte depends on them."""
    monkeypatch.setattr(pool, "GRAIN", 64)
    asked: set[int] = set()

    class Counting(make.model):  # type: ignore[misc, name-defined]
        def encode(self, images: np.ndarray, threads: int = 1) -> bytes:
            asked.add(threads)
            return super().encode(images)

        def decode(self, payload: bytes, count: int, shape: tuple[int, int, int], threads: int = 1) -> np.ndarray:
            asked.add(threads)
            return super().decode(payload, count, shape)

    library = Library([Counting()], shipped=False)
    archives = set()
    for threads in (1, 3):
        stream = io.BytesIO()
        write_archive(stream, [make.image_item(0, "a", make.digits(200))], library, threads=threads)
        assert asked == {threads}
        asked.clear()
        archives.add(stream.getvalue())
        Archive(stream, library=library).test(threads=threads)
        assert asked == {threads}
        asked.clear()
    assert len(archives) == 1
