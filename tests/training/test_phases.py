import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.kinds.base import WithLatents  # noqa: E402
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec  # noqa: E402
from bitsback.kinds.phases.grids import NEAR, steps  # noqa: E402
from bitsback.training import Regime, fit  # noqa: E402
from bitsback.training.architecture import PhasesArchitecture, in_phases, phases_spec  # noqa: E402
from bitsback.training.export import export_phases  # noqa: E402
from bitsback.training.loop import Schedule, optimise  # noqa: E402
from bitsback.training.measure import bought  # noqa: E402
from bitsback.training.phases import (  # noqa: E402
    CROP,
    PhasesTask,
    TrainablePhases,
    fit_filters,
    follow_formula,
    followed,
    samples_of,
)
from contexts import picture  # noqa: E402


def module(channels: int, levels: int, **options: object) -> TrainablePhases:
    torch.manual_seed(0)
    spec = phases_spec(channels, levels, 8, 6, **options)  # type: ignore[arg-type]
    images = [image[..., :channels] for image in picture("smooth", (4, 40, 40, 3))]
    filters = fit_filters(spec, channels, images) if levels > 2 else {}
    return TrainablePhases(spec, channels, MixtureSpec(2) if levels > 2 else BernoulliSpec(), filters)


@pytest.mark.parametrize(
    ("channels", "levels", "options"),
    [
        (3, 256, {"period": 8}),
        (1, 256, {"hidden": (16,), "reach": (1,), "predicts": (3,), "edges": True}),
        (2, 2, {"hidden": (8,)}),
    ],
)
def test_what_is_trained_is_what_codes(channels: int, levels: int, options: dict[str, object]) -> None:
    """With the quantisation in the loop, its bits are those of the integer model."""
    made = module(channels, levels, **options)
    images = picture("smooth", (5, 21, 14, channels), levels)
    task = PhasesTask(made, list(images), list(images))
    before = task.score()[0]
    optimise(task, Schedule(20, 4, 1e-2, warm_up=1, quantise_from=0.5, check=20))
    made.quantise(True)
    with torch.no_grad():
        bits = made.bits(torch.from_numpy(images)).numpy()
    assert task.score()[0] == pytest.approx(bits.sum() / images.size) and task.score()[0] < before
    architecture = PhasesArchitecture("tiny", made.spec, channels, made.likelihood)
    model = export_phases(made, architecture.config("tiny"))
    back = [architecture.colour.index(c) for c in range(channels)]
    found = model.bits(np.ascontiguousarray(images[..., back])).samples
    assert found.sum() == pytest.approx(bits.sum(), rel=1e-2)  # no sample costs more than 24 bits
    assert found.sum((0, 1, 2))[list(architecture.colour)] == pytest.approx(bits.sum(0), rel=2e-2)


@pytest.mark.parametrize("levels", [2, 256])
def test_so_it_is_with_latents(levels: int) -> None:
    torch.manual_seed(0)
    images = picture("stripes", (12, 14, 13, 1), levels)
    images[:6] = images[:6, ::-1, ::-1] // 2 if levels > 2 else 1 - images[:6]  # two kinds of images
    (_, found) = in_phases(1, levels, list(images), "small")
    filters = fit_filters(found.spec, 1, list(images)) if levels > 2 else {}
    made = TrainablePhases(found.spec, 1, found.likelihood, filters, found.latents)
    task = PhasesTask(made, list(images), list(images), free=0.05)
    optimise(task, Schedule(30, 6, 1e-2, warm_up=1, quantise_from=0.5, check=30))
    made.quantise(True)
    total, latents, samples, swapped = np.mean([task.score() for _ in range(100)], 0)  # latents are drawn
    assert total == pytest.approx(latents + samples) and latents > 0
    model = export_phases(made, found.config("tiny"))
    assert isinstance(model.trained, WithLatents)
    assert model.trained.information(images).sum() / images.size == pytest.approx(latents, rel=0.05)
    drawn = np.mean([model.bits(images, seed).samples.mean() for seed in range(100)])
    assert drawn == pytest.approx(samples, rel=0.1)
    worth = bought(model, list(images))
    assert worth.own == pytest.approx(total, rel=0.2) and worth.swapped == pytest.approx(swapped + latents, rel=0.3)
    assert np.array_equal(model.decode(model.encode(images), 12), images)


@pytest.mark.parametrize("floor", [False, True])
@pytest.mark.parametrize(("k", "m"), [(1, 4), (3, 4), (5, 6)])
def test_means_follow_what_is_known(k: int, m: int, floor: bool) -> None:
    """The fused function and its gradient are those of the formula."""
    generator = torch.Generator().manual_seed(k)
    y = 1024 * torch.randn(50, 3 * k + m, generator=generator)
    known = torch.randint(-4080, 4080, (50, m), generator=generator).float()
    weights = torch.randn(50, 3 * k, generator=generator)
    found = []
    for function in (followed, follow_formula):
        leaf = y.clone().requires_grad_()
        out = function(leaf, k, known, floor)
        (out * weights).sum().backward()
        assert leaf.grad is not None
        found.append((out.detach(), leaf.grad))
    # What is known is whole, so floors of sums that are rounded otherwise differ by one at most, and seldom
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1.01 if floor else 0.05)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-5, atol=1e-4)


def test_no_unit_of_a_trunk_falls_silent() -> None:
    """A step of Adam moves the weights of all inputs alike; where there are many, all of them positive, that moved what
    a unit gives by more than it is, and soon most gave nothing, for good."""
    spec = phases_spec(1, 2, 48, 32, (16,))
    images = list(picture("smooth", (40, 24, 24, 1), 2))
    torch.manual_seed(0)
    made = TrainablePhases(spec, 1, BernoulliSpec(), {})
    optimise(PhasesTask(made, images, images[:4]), Schedule(120, 8, 1e-2, warm_up=10, quantise_from=2.0, check=120))
    most: dict[torch.nn.Module, torch.Tensor] = {}

    def watch(layer: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        top = out.detach().amax(0)
        most[layer] = torch.maximum(most[layer], top) if layer in most else top

    for network in made.networks:
        for layer in network.weighted().values():
            layer.register_forward_hook(watch)
    with torch.no_grad():
        made.bits(torch.from_numpy(np.stack(images)))
    assert len(most) == 9
    for top in most.values():
        assert (top > 0).float().mean() > 0.8


def test_filters_predict_what_can_be_predicted() -> None:
    """A plane is foreseen exactly, in all channels."""
    y, x = np.mgrid[:40, :40]
    images = [np.stack([a + 2 * y + x, a + 3 * x], 2).astype(np.uint8) for a in (0, 20, 50)]
    spec = phases_spec(2, 256, 8, 6)
    made = TrainablePhases(spec, 2, MixtureSpec(2), fit_filters(spec, 2, images))
    for step in steps(40, 40):
        if step.level == 0:
            seen = made.see(torch.from_numpy(images[1][None]), step)
            grid = (step.height, step.width, 2)
            off = (16 * seen.samples.int() - seen.predictions).view(grid)[2:-2, 2:-2]
            assert off.abs().max() <= 2
            assert seen.near.shape == (len(seen.samples), 2, NEAR)
            assert np.array_equal(seen.samples, samples_of(images[1][None], step))


def test_examples_are_crops_of_one_size() -> None:
    images = [np.full((CROP + 30, 20, 1), 1, np.uint8), np.full((CROP + 90, 18, 1), 2, np.uint8)]
    task = PhasesTask(module(1, 256), images, images[:1])
    for step in range(5):
        picks = task.draw(step, 6)
        shapes = {task._crops[pick].shape for pick in picks}
        assert len(shapes) == 1 and shapes <= {(CROP, 20, 1), (CROP, 18, 1)}
        again = task.draw(step, 6)
        assert np.array_equal(picks, again)


def test_the_grid_of_jpeg_is_noticed() -> None:
    rng = np.random.default_rng(0)
    flat = [rng.integers(0, 30, (64, 64, 3)).astype(np.uint8) for _ in range(4)]
    blocky = [image // 4 + rng.integers(0, 99, (8, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8) for image in flat]
    assert in_phases(3, 256, flat, "small")[0].spec.period == 0
    assert in_phases(3, 256, blocky, "small")[0].spec.period == 8
    plain, latent = in_phases(1, 2, [image[..., :1] // 20 for image in flat], "small")
    assert plain.likelihood == latent.likelihood == BernoulliSpec() and latent.latents and not plain.latents
    assert len(in_phases(1, 256, [image[: 40 + i, :, :1] for i, image in enumerate(flat)], "small")) == 1


@pytest.mark.parametrize("kind", ["phases", "auto"])
def test_from_images_to_a_model(kind: str) -> None:
    images = picture("smooth", (320, 18, 20, 1))[..., 0]
    result = fit(images, Regime(steps=20, size="small", init="none", kind=kind))  # type: ignore[arg-type]
    assert str(result.card["training"]["architecture"]).startswith("phases") or kind == "auto"  # type: ignore[index]
    assert any(note.startswith("phases with 16 latents: ") for note in result.notes)
    assert any("MB/s" in note for note in result.notes)
    shown = np.stack(result.held_out)
    assert np.array_equal(result.model.decode(result.model.encode(shown), len(shown), shown.shape[1:]), shown)
