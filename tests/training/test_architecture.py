import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.models import Model
from bitsback.training.architecture import HIDDEN, candidates, coding_order, from_model


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
    found = from_model(Model.load("thumbnails"))
    assert found is not None
    assert found.config("thumbnails").context == found.init.config.context
    assert found.colour == coding_order(3) == (1, 0, 2)
    assert from_model(Model.load("digits-binary")) is None
