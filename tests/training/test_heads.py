import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.kinds.likelihoods import BernoulliSpec, LikelihoodSpec, MixtureSpec  # noqa: E402
from bitsback.nets.layers import check_weights  # noqa: E402
from bitsback.training.architecture import phases_spec  # noqa: E402
from bitsback.training.heads import TrainableHeads  # noqa: E402
from bitsback.training.layers import UNIT  # noqa: E402
from bitsback.training.objectives import objective  # noqa: E402

KINDS: list[tuple[int, LikelihoodSpec, tuple[int, ...]]] = [
    (3, MixtureSpec(2), ()), (3, MixtureSpec(2), (8,)), (1, MixtureSpec(3), (6, 5)), (2, BernoulliSpec(), (7,)),
]  # fmt: skip


def heads(channels: int, likelihood: LikelihoodSpec, hidden: tuple[int, ...], phase: int | None = 1) -> TrainableHeads:
    """With weights that training could have given, zeros that must stay so included."""
    torch.manual_seed(0)
    spec = phases_spec(channels, likelihood.levels, 8, 4, hidden)
    made = TrainableHeads(spec, phase, 2, channels, likelihood.parameters, objective(likelihood))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return made


def given(made: TrainableHeads, channels: int, n: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    maps = made.layers[0][0].inputs
    return torch.randint(0, 256, (n, maps)) / UNIT, torch.randint(0, 256, (n, channels - 1, 2)) / UNIT


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize(("channels", "likelihood", "hidden"), KINDS)
def test_a_channel_reads_those_before_it_only(
    channels: int, likelihood: LikelihoodSpec, hidden: tuple[int, ...], quantise: bool
) -> None:
    made = heads(channels, likelihood, hidden)
    made.quantise = quantise
    maps, shown = given(made, channels)
    shown.requires_grad_()
    out = made(made.exact(), 1, maps, shown)
    assert out.shape == (channels, len(maps), made.layers[-1][-1].outputs)
    for c, layers in enumerate(made.layers):
        assert (out[c, :, layers[-1].outputs :] == 0).all()
        if channels > 1:
            (gradient,) = torch.autograd.grad(out[c].sum(), shown, retain_graph=True)
            assert (gradient[:, c:] == 0).all() and (not c or gradient[:, :c].any())


@pytest.mark.parametrize("phase", [None, 2])
@pytest.mark.parametrize(("channels", "likelihood", "hidden"), KINDS)
def test_integers_come_back_as_they_were(
    channels: int, likelihood: LikelihoodSpec, hidden: tuple[int, ...], phase: int | None
) -> None:
    made = heads(channels, likelihood, hidden, phase)
    classes = made.export()
    assert len(classes) == 2 and all(len(one) == channels for one in classes)
    for one in classes:
        for layers, weights in zip(made.layers, one, strict=True):
            for layer, integers in zip(layers, weights, strict=True):
                check_weights(integers, layer, "head")
    other = heads(channels, likelihood, hidden, phase)
    other.start_from(classes)
    for one, two in zip(np.array(classes, object).ravel(), np.array(other.export(), object).ravel(), strict=True):
        for a, b in zip((one.weight, one.bias, one.shift), (two.weight, two.bias, two.shift), strict=True):
            assert np.array_equal(a, b)
