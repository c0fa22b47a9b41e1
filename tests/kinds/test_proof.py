import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from bitsback import kernels
from bitsback.errors import EmptyStackError, InexactEngineError
from bitsback.kinds import WITHOUT_WEIGHTS, proof
from bitsback.kinds.adaptive import known, payload, smooth
from bitsback.kinds.base import Answers
from bitsback.kinds.context.network import ContextNetwork
from bitsback.models import Model, file, installed
from contexts import KINDS, picture
from helpers import drawn_images, tiny_model_file
from models.context_models import context_file, vae_file
from phases import phases_file

ADAPTIVE = WITHOUT_WEIGHTS[1]


@pytest.fixture(autouse=True)
def _unproved(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process, on a machine that remembers nothing."""
    monkeypatch.setattr(proof, "_proved", set())
    monkeypatch.setattr(kernels, "folder", lambda: None)
    yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kernels, "folder", lambda: tmp_path)
    return tmp_path


def forget() -> None:
    proof._proved.clear()


# Once.


def test_what_holds_is_looked_at_once() -> None:
    looked = []
    for _ in range(3):
        proof.once("it", "key", lambda: looked.append(1) or True)
    proof.once("it", "another key", lambda: looked.append(2) or True)
    assert looked == [1, 2]


def test_what_does_not_hold_is_said_and_looked_at_again() -> None:
    for _ in range(2):
        with pytest.raises(InexactEngineError, match=r"^the thing is not computed here .* compiled kernels are stale"):
            proof.once("the thing", "key", lambda: False)
    proof.once("the thing", "key", lambda: True)


def test_the_machine_remembers_what_held(folder: Path) -> None:
    looked = []
    for answer in (True, False, False):
        proof.once("it", "key", lambda answer=answer: looked.append(answer) or answer)
        forget()
    assert looked == [True]
    with pytest.raises(InexactEngineError):
        proof.once("it", "another key", lambda: False)
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_takes_nothing_is_no_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "folder", lambda: folder / "nowhere")
    looked = []
    for _ in range(2):
        proof.once("it", "key", lambda: looked.append(1) or True)
        forget()
    assert looked == [1, 1]


def test_errors_about_what_is_sound_are_the_machines() -> None:
    def fails() -> bool:
        raise EmptyStackError("a pop needs more bits than the stack holds")

    with pytest.raises(InexactEngineError, match=r"^it is not computed here"):
        proof.once("it", "key", fails)


def test_threads_wait_for_the_one_that_looks() -> None:
    looked, begun = [], threading.Barrier(8)

    def one(_: int) -> None:
        begun.wait()
        proof.once("it", "key", lambda: looked.append(1) or True)
        assert looked == [1]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))


# Models.


MODELS = {"vae": tiny_model_file(2), "vae with context": vae_file(256)}
MODELS |= {str(kind): context_file(kind) for kind in KINDS if not kind[2]}
MODELS |= {"phases": phases_file(3), "phases of two levels": phases_file(1, 2)}
MODELS |= {
    "phases with latents": phases_file(3, latents=3),
    "phases with latents, two levels": phases_file(1, 2, latents=2),
}


@pytest.mark.parametrize("data", MODELS.values(), ids=MODELS)
def test_models_hold(data: bytes) -> None:
    model = Model.from_bytes(data)
    assert len(set(structs.astuple(model.config.answers))) == 2
    model.prove()


@pytest.mark.parametrize("path", installed(), ids=lambda path: path.stem)
def test_shipped_models_hold(path: Path) -> None:
    Model.load(path).prove()


def with_answers(data: bytes, **changes: str) -> Model:
    _, config, tensors = file.parse(data)
    return Model.from_bytes(
        file.dump(structs.replace(config, answers=structs.replace(config.answers, **changes)), tensors)
    )


@pytest.mark.parametrize("data", MODELS.values(), ids=MODELS)
def test_a_model_that_is_computed_otherwise_codes_nothing(data: bytes) -> None:
    wrong = "0" * 64
    sound = Model.from_bytes(data)
    height, width, channels = sound.shape
    images = picture("smooth", (2, height or 6, width or 7, channels), sound.levels)
    payload = sound.encode(images)
    encodes, decodes = with_answers(data, decoding=wrong), with_answers(data, encoding=wrong)
    with pytest.raises(InexactEngineError, match=f"^the model {sound.name} is not computed here"):
        encodes.decode(payload, 2, images.shape[1:])
    with pytest.raises(InexactEngineError):
        decodes.encode(images)
    assert encodes.encode(images) == payload  # each for itself: a job that only decodes compiles no encoder
    np.testing.assert_array_equal(decodes.decode(payload, 2, images.shape[1:]), images)


def test_a_stale_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is wrong in both directions, so that it decodes what it codes."""
    data = context_file((3, "regression", 0, 256))
    images = picture("smooth", (1, 9, 11, 3))
    good = Model.from_bytes(data).encode(images)
    forget()
    real = ContextNetwork.packed.func

    def stale(network: ContextNetwork) -> tuple:
        weights, layout, table = real(network)
        return weights, layout, table ^ np.uint8(1)  # as if features were computed otherwise

    monkeypatch.setattr(ContextNetwork, "packed", property(stale))
    model = Model.from_bytes(data)
    for code in (lambda: model.encode(images), lambda: model.decode(good, 1, (9, 11, 3)), model.prove):
        with pytest.raises(InexactEngineError):
            code()
    monkeypatch.setattr(proof, "once", lambda *arguments: None)
    wrong = model.encode(images)
    assert wrong != good  # and yet
    np.testing.assert_array_equal(model.decode(wrong, 1, (9, 11, 3)), images)


def test_models_differ_in_their_answers() -> None:
    answers: set[Answers] = {Model.from_bytes(data).config.answers for data in MODELS.values()}
    assert len(answers) == len(MODELS)


# The adaptive kind.


def test_the_adaptive_kind_holds() -> None:
    ADAPTIVE.prove()
    assert len(proof._proved) == 2 * len(known.KNOWN)


def test_known_images_touch_what_they_are_for() -> None:
    for name, group in known.KNOWN.items():
        for one in group:
            assert known.group(one.tag, np.dtype(one.dtype)) == name
            assert one.payload[0] == one.tag
            assert one.images.shape == one.whole and one.images.dtype == one.dtype
            assert len(np.unique(one.images)) >= 2
    tags = {one.tag for group in known.KNOWN.values() for one in group}
    assert {tag & 0xF0 for tag in tags} >= {0x10, 0x20, 0x40, 0x50, 0x60, 0x80, 0x90, 0xA0, 0xC0}


def test_what_is_not_used_is_not_proved() -> None:
    """Since that would compile it."""
    images = picture("smooth", (1, 9, 14, 1))
    coded = payload.encode_as(images, 0x10)
    forget()
    payload.decode(coded, 1, (9, 14, 1), np.uint8)
    (only,) = proof._proved
    assert only.startswith("adaptive decoding general ")
    payload.encode_as(images, 0x40)
    assert sum(key.startswith("adaptive encoding smooth ") for key in proof._proved) == 1
    assert not any("mixing" in key or "median" in key for key in proof._proved)


def test_a_variant_that_is_computed_otherwise_codes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = picture("smooth", (1, 20, 20, 1))
    smoothly, generally = payload.encode_as(images, 0x40), payload.encode_as(images, 0x10)
    forget()
    real = smooth.new_state

    def other(channels: int, width: int) -> smooth.State:
        state = real(channels, width)
        state.biases[..., 1] += 1
        return state

    monkeypatch.setattr(smooth, "new_state", other)
    with pytest.raises(InexactEngineError, match=r"^the adaptive kind, smooth, is not computed here"):
        payload.decode(smoothly, 1, (20, 20, 1), np.uint8)
    with pytest.raises(InexactEngineError):
        ADAPTIVE.encode(images)
    np.testing.assert_array_equal(payload.decode(generally, 1, (20, 20, 1), np.uint8), images)


def test_what_compressors_make_of_bytes_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of zlib and liblzma do; what they hold does not."""
    monkeypatch.setattr("bitsback.kinds.adaptive.serial.zlib.Z_HUFFMAN_ONLY", 0)
    ADAPTIVE.prove()


def test_drawn_images_are_coded_by_a_proved_model_in_threads() -> None:
    model = Model.from_bytes(tiny_model_file(2))
    images = drawn_images(model, 5)
    with ThreadPoolExecutor(4) as pool:
        payloads = set(pool.map(lambda _: model.encode(images), range(8)))
    assert len(payloads) == 1
