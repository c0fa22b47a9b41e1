"""What holds for every kind: tags, names, and what a coder owes to whoever calls it."""

import typing

import numpy as np
import pytest

from bitsback.errors import CodecError
from bitsback.kinds import WITHOUT_WEIGHTS, AnyConfig
from bitsback.kinds.base import Coder, ModelConfig
from bitsback.kinds.jpeg import known
from bitsback.models import Model
from contexts import KINDS, picture
from helpers import tiny_model_file
from models.context_models import context_file, vae_file
from phases import phases_file

CONFIGS: tuple[type[ModelConfig], ...] = typing.get_args(AnyConfig)

MODELS = {"vae": tiny_model_file(2), "vae of levels": tiny_model_file(256, above=(4, 9), channels=3)}
MODELS |= {"vae with context": vae_file(256), "vae with context, RGB": vae_file(256, channels=3)}
MODELS |= {str(kind): context_file(kind) for kind in KINDS if not kind[2]}
MODELS |= {"phases": phases_file(3), "phases of two levels": phases_file(1, 2)}
MODELS |= {
    "phases with latents": phases_file(3, latents=3),
    "phases with latents, two levels": phases_file(1, 2, latents=2),
}
CODERS: dict[str, Coder] = {coder.name: coder for coder in WITHOUT_WEIGHTS.values()}
CODERS |= {name: Model.from_bytes(data) for name, data in MODELS.items()}


def test_tags_are_for_ever() -> None:
    """What they stand for is in docs/format.md; a change of a payload is a new one."""
    assert {tag: coder.name for tag, coder in WITHOUT_WEIGHTS.items()} == {
        0: "plain",
        1: "adaptive",
        5: "jpeg",
        6: "filtered",
    }
    tags = {config.__struct_config__.tag: config.TAG for config in CONFIGS}
    assert tags == {"context": 2, "vae": 3, "phases": 4, "jpeg": 5}


def shape_of(coder: Coder) -> tuple[int, int, int]:
    if coder.name == "jpeg":
        return 8, 8, 1
    if not isinstance(coder, Model):
        return 9, 14, 3
    height, width, channels = coder.shape
    return height or 9, width or 14, channels


def images_for(coder: Coder, count: int = 3) -> np.ndarray:
    if coder.name == "jpeg":
        return known.blocks()
    levels = coder.levels if isinstance(coder, Model) else 256
    return picture("smooth", (count, *shape_of(coder)), levels)


@pytest.mark.parametrize("coder", CODERS.values(), ids=CODERS)
def test_a_coder_keeps_its_word(coder: Coder) -> None:
    coder.prepare()
    images = images_for(coder)
    assert coder.accepts(images.shape[1:], images.dtype, 2 if images.max() < 2 else None)
    payload = coder.encode(images)
    assert coder.encode(images, threads=3) == payload
    assert coder.encode(np.asfortranarray(images)) == payload
    for threads in (1, 3):
        found = coder.decode(payload, len(images), images.shape[1:], images.dtype, threads)
        assert found.dtype == images.dtype and found.flags.c_contiguous and found.flags.writeable
        np.testing.assert_array_equal(found, images)
    assert coder.memory(len(images), images.shape[1:], images.dtype, len(payload)) >= images.nbytes
    assert 1 << 14 <= coder.pace <= 1 << 24 and coder.pace & (coder.pace - 1) == 0
    assert (len(coder.id) == 64) == isinstance(coder, Model)
    coder.prove()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_refuses_what_is_not_its_kind(name: str) -> None:
    model = CODERS[name]
    assert isinstance(model, Model)
    images = images_for(model)
    for bad in (images[0], images.astype(np.uint16), images[:0], np.concatenate([images] * 2, axis=3)):
        with pytest.raises(CodecError, match=model.name):
            model.encode(bad)
    payload = model.encode(images)
    for count, dtype in ((0, "uint8"), (-1, "uint8"), (3, "uint16")):
        with pytest.raises(CodecError, match=model.name):
            model.decode(payload, count, images.shape[1:], dtype)
    with pytest.raises(CodecError, match=model.name):
        model.decode(payload, 3, (9, 14, 4))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_described(name: str) -> None:
    model = CODERS[name]
    assert isinstance(model, Model)
    config = model.config
    assert config.has_latents == (config.facts()["latents"] > 0) == (name.startswith("vae") or "latents" in name)
    assert all(len(head) <= 11 and text for head, text in config.lines())
    assert config.sentence().endswith(".") and config.facts()["macs"]
    assert config.sees_neighbours == (name not in ("vae", "vae of levels"))
