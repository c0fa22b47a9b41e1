from typing import Any

import numpy as np
import pytest

from archive.archives import FakeModel, digits
from bitsback.archive import Library
from bitsback.archive.coding import (
    CodedBlock,
    decode_block,
    encode_block,
    pack_bytes,
    unpack_bytes,
    worth,
)
from bitsback.archive.front import Front, Levels
from bitsback.archive.library import PLAIN
from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.archive.packing import Packing
from bitsback.errors import BitsBackError, ChecksumError, FormatError, LimitError, ModelNotFoundError
from bitsback.kinds.lots import by_shape


def code(images: np.ndarray, *coders: Any, front: Front = (), **options: Any) -> CodedBlock:
    return encode_block([images], front, list(coders), **options)


def decode(coded: CodedBlock, *models: Any, limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    (images,) = decode_block(coded.block, coded.payload, Library(models, shipped=False), limits).lots
    return images


def test_a_block_comes_back() -> None:
    images, model = digits(40), FakeModel()
    coded = code(images, model)
    assert coded.coder is model and len(coded.payload) < images.nbytes // 2
    assert np.array_equal(decode(coded, model), images)
    assert (coded.block.tag, coded.block.model.hex(), coded.block.count) == (77, model.id, 40)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("coders", [[], [FakeModel(levels=2)]])
def test_images_of_two_levels_keep_their_values(dtype: type, coders: list[FakeModel]) -> None:
    images = np.where(digits(50) > 99, np.array(201, dtype), np.array(3, dtype))
    coded = code(images, *coders, front=(Levels(((3, 201),)),))
    assert coded.coder is (coders or [PLAIN])[0]
    decoded = decode(coded, *coders)
    assert decoded.dtype == dtype and np.array_equal(decoded, images)


def test_images_of_many_shapes() -> None:
    lots = by_shape([digits(30), digits(20, seed=1), digits(9, 5), digits(30, seed=2), digits(1, 5, seed=3)])
    assert [images.shape for images in lots] == [(50, 8, 8, 1), (9, 5, 5, 1), (30, 8, 8, 1), (1, 5, 5, 1)]
    coded = encode_block(lots, (), [], verify=True)
    assert coded.coder is PLAIN and coded.block.count == 90
    decoded = decode_block(coded.block, coded.payload, Library(shipped=False), DEFAULT_LIMITS)
    assert all(map(np.array_equal, decoded.lots, lots)) and len(decoded) == 90
    images = [image for one in lots for image in one]
    assert all(np.array_equal(decoded[number], image) for number, image in enumerate(images))
    assert [part.shape[:2] for part in decoded.parts(48, 60)] == [(2, 8), (9, 5), (1, 8)]
    assert np.array_equal(np.concatenate(list(decoded.parts(50, 59))), lots[1])
    assert decoded.nbytes == coded.block.nbytes == sum(one.nbytes for one in lots)


def test_noise_does_not_grow() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    coded = code(images, FakeModel())
    assert coded.coder is PLAIN and len(coded.payload) == images.nbytes
    assert np.array_equal(decode(coded), images)


def test_plain_samples_are_little_endian() -> None:
    coded = code(np.array([[[[1, 258]]]], np.uint16))
    assert coded.payload == b"\1\0\2\1"
    assert np.array_equal(decode(coded), [[[[1, 258]]]])


def test_a_coder_that_decodes_wrongly_is_passed_over_or_found_out() -> None:
    images, wrong = digits(40), FakeModel(wrong=True)
    coded = code(images, wrong, FakeModel(), verify=True)
    assert coded.warnings == ("fake-256 was not used: decoding does not give the same pixels",)
    assert coded.coder.id == FakeModel().id
    with pytest.raises(ChecksumError, match="other pixels"):
        decode(code(images, wrong), wrong)


def test_a_coder_that_refuses_is_passed_over() -> None:
    class Refusing(FakeModel):
        def encode(self, images: np.ndarray, threads: int = 1) -> bytes:
            raise BitsBackError("no")

    coded = code(digits(40), Refusing(), FakeModel())
    assert coded.warnings == ("fake-256 was not used: no",) and coded.coder.id == FakeModel().id
    assert code(digits(40), Refusing()).coder is PLAIN


def test_a_payload_that_is_known_is_not_made_again() -> None:
    class Once(FakeModel):
        def encode(self, images: np.ndarray, threads: int = 1) -> bytes:
            raise AssertionError

    images = digits(9)
    coded = code(images, Once(), payload=FakeModel().encode(images))
    assert np.array_equal(decode(coded, FakeModel()), images)


def test_a_model_that_is_nowhere_is_named() -> None:
    with pytest.raises(ModelNotFoundError, match=FakeModel().id):
        decode(code(digits(40), FakeModel()))


def test_payloads_that_are_too_short_or_damaged() -> None:
    coded = code(digits(40), FakeModel())
    for payload in (coded.payload[:-1], b"", bytes(99)):
        with pytest.raises(FormatError):
            decode_block(coded.block, payload, Library([FakeModel()], shipped=False), DEFAULT_LIMITS)


def test_a_coder_that_decodes_to_another_size() -> None:
    class Odd(FakeModel):
        def decode(self, *arguments: Any) -> np.ndarray:
            return super().decode(*arguments)[1:]

    with pytest.raises(FormatError, match="other sizes"):
        decode(code(digits(40), Odd()), Odd())


def test_memory_is_looked_at_before_anything_is_decoded() -> None:
    class Never(FakeModel):
        def decode(self, *arguments: Any) -> np.ndarray:
            raise AssertionError

    coded = code(digits(40), Never())
    with pytest.raises(LimitError, match=r"decoding takes 8\d\d\d bytes"):
        decode(coded, Never(), limits=Limits(memory=3 * 40 * 64 + len(coded.payload) - 1))
    with pytest.raises(AssertionError):
        decode(coded, Never(), limits=Limits(memory=3 * 40 * 64 + len(coded.payload)))


def test_bytes() -> None:
    assert pack_bytes(b"") == (None, b"")
    section, packed = pack_bytes(b"words " * 99)
    assert section and section.packing != Packing.STORED and len(packed) == section.packed < 50
    assert unpack_bytes(section, packed) == b"words " * 99
    stored, same = pack_bytes(b"words " * 99, packable=False)
    assert stored and stored.packing == Packing.STORED and same == b"words " * 99
    for bad in (same[:-1], same[:-1] + b"x", same + b"x"):
        with pytest.raises(FormatError):
            unpack_bytes(stored, bad)


def test_what_keeps_threads_busy() -> None:
    assert [worth(samples, 4) for samples in (1, 1 << 22, 1 << 23, 1 << 30)] == [1, 1, 2, 4]
