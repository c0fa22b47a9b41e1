from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.models import Model  # noqa: E402
from bitsback.training import Regime  # noqa: E402
from bitsback.training.architecture import candidates, from_model, in_phases, on_a_chain  # noqa: E402
from bitsback.training.entrants import Entrant, Given, entered  # noqa: E402
from bitsback.training.loop import Task, optimise  # noqa: E402
from contexts import picture  # noqa: E402


def given(images: np.ndarray) -> Given:
    """The last eight of them are held out."""
    numbers = np.arange(len(images) - 8)
    return Given(lambda some: list(images[some]), numbers, list(images[-8:]), images[0].size, Regime(), 1, "cpu")


def score(task: Task) -> float:
    """Of the integer model, with the same latents each time."""
    task.quantise(True)
    torch.manual_seed(0)
    task.module.eval()
    return task.score()[0]


def entrants(channels: int, levels: int, images: np.ndarray) -> list[Entrant]:
    """Of all kinds."""
    found = [*in_phases(channels, levels, list(images), "small"), *on_a_chain(channels, levels, images, "small")]
    return list(map(entered, [*found, *candidates(channels, levels, 16, 0.0, "small")]))


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 256), (3, 256)])
def test_what_starts_from_a_model_is_that_model(channels: int, levels: int) -> None:
    images = picture("smooth", (32, 12, 16, channels), levels)
    kinds = set()
    for entrant in entrants(channels, levels, images):
        task = entrant.task(given(images))
        optimise(task, replace(entrant.schedule(given(images), 4), batch=8, quantise_from=0.5, check=4))
        before = score(task)
        model = entrant.export(task.module, "made")
        started = entered(from_model(model))
        assert started.init is model and entrant.init is None
        assert started.architecture.kind == entrant.architecture.kind
        assert started.architecture.parallel == entrant.architecture.parallel
        task = started.task(given(images))
        assert score(task) == pytest.approx(before, rel=1e-5), entrant.name
        assert not np.any(getattr(task, "_free", 0)) and not getattr(task, "_warm_up", 0)  # latents have settled
        assert started.export(task.module, "made").id == model.id, entrant.name
        kinds.add(started.architecture.kind)
    assert kinds == {"context", "phases", "vae", "ladder"}


def test_so_does_what_starts_from_a_shipped_one() -> None:
    """Whose layers are none that would be chosen."""
    for name, shape in (("thumbnails-fast", (32, 32, 3)), ("digits-binary", (28, 28, 1))):
        model = Model.load(name)
        images = model.draw(20, shape)
        bits = np.mean([model.elbo_bits(images[-8:], seed).sum() for seed in range(4)]) / images[-8:].size
        entrant = entered(from_model(model))
        task = entrant.task(given(images))
        assert score(task) == pytest.approx(bits, rel=0.02)  # latents are drawn
        again = entrant.export(task.module, model.name)
        assert np.array_equal(again.bits(images).samples, model.bits(images).samples)


def test_images_of_another_size_are_left_out() -> None:
    """Of those that are learned from, a few may differ though what was looked at did not."""
    images = list(picture("smooth", (32, 12, 16, 1), 2))
    some = replace(given(np.stack(images)), load=lambda numbers: [images[n] for n in numbers[1:]] + [images[0][:8]])
    for entrant in entrants(1, 2, np.stack(images)):
        task = entrant.task(some)
        task.loss(task.draw(0, 8), 0.0)
