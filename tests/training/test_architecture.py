from types import SimpleNamespace

import pytest
from msgspec import structs

pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.errors import ModelError
from bitsback.kinds.jpeg.config import BLOCKS, JpegConfig
from bitsback.kinds.jpeg.start import SHA256
from bitsback.models import Model
from bitsback.training.architecture import HIDDEN, candidates, coding_order, from_model
from helpers import tiny_model_file
from phases import phases_file


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("flat", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("edge", [28, 2000])
def test_candidates_are_sound_and_fit_the_images(channels: int, flat: float, edge: int) -> None:
    found = candidates(channels, 256, edge, flat, "small")
    assert len({one.name for one in found}) == len(found)
    for one in found:
        one.config("x").check()
        assert one.config("x").image.channels == channels
        assert sorted(one.colour) == list(range(channels))
        places = {f.a.plane for features in one.spec.features for f in features} & {"row", "column"}
        assert bool(places) == (edge == 28)
    assert {one.name for one in found} >= {0.0: {"regression"}, 0.4: {"regression", "drawn"}, 0.9: {"drawn"}}[flat]


def test_two_valued_images_have_one_candidate() -> None:
    (one,) = candidates(1, 2, 28, 0.9, "medium")
    assert (one.name, one.likelihood.parameters) == ("plain", 1)
    one.config("x").check()


def test_larger_sizes_are_larger() -> None:
    macs = [candidates(3, 256, 64, 0.0, size)[0].spec.macs(9) for size in HIDDEN]
    assert macs == sorted(set(macs))


def test_shipped_models_can_be_started_from() -> None:
    found = from_model(Model.load("photos"))
    assert found.config("photos").context == found.init.config.context
    assert found.colour == coding_order(3) == (1, 0, 2)
    assert (found.kind, found.size, found.parallel) == ("context", (0, 0), False)
    found = from_model(Model.load("thumbnails-fast"))
    assert (found.kind, found.size, found.parallel) == ("phases", (0, 0), True)
    found = from_model(Model.load("digits-binary"))
    assert (found.kind, found.size, found.parallel) == ("vae", (28, 28), False)


def start_file(kind: str) -> bytes:
    """A model of some kind, with random weights and layers that training does not choose."""
    match kind:
        case "vae":
            return tiny_model_file()
        case "ladder":
            return tiny_model_file(above=(5, 4), channels=3)
        case "bits":
            return phases_file(2, 2)
    return phases_file(3, latents=5 if kind == "latents" else 0)


@pytest.mark.parametrize("start", ["phases", "latents", "bits", "vae", "ladder"])
def test_what_comes_of_a_model_is_for_the_same_images(start: str) -> None:
    model = Model.from_bytes(start_file(start))
    found, known = from_model(model).config(model.name), structs.asdict(model.config)
    for what in ("answers", "self_test", "above"):
        known.pop(what, None)
    assert {what: getattr(found, what) for what in known} == known
    levels = [(one.latents, one.encoder, one.decoder) for one in getattr(found, "above", ())]
    assert levels == [(one.latents, one.encoder, one.decoder) for one in getattr(model.config, "above", ())]


def test_what_cannot_be_started_from_is_told() -> None:
    model = Model.load("photos")
    table = model.tensors["context.table"].copy()
    table[0] += 1
    with pytest.raises(ModelError, match="photos cannot be trained further: its companding table"):
        from_model(SimpleNamespace(name="photos", config=model.config, tensors={"context.table": table}))
    with pytest.raises(ModelError, match="it is not one of pixels"):
        from_model(SimpleNamespace(name="own", config=JpegConfig(name="own", image=BLOCKS, base=SHA256)))
