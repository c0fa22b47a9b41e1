import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.kinds.context.codec import ContextCodec  # noqa: E402
from bitsback.kinds.context.network import (  # noqa: E402
    MARGIN,
    ContextNetwork,
    ContextSpec,
    Feature,
    Tap,
    companding,
    neighbours,
    plane,
)
from bitsback.training.context import TrainableContext  # noqa: E402
from bitsback.training.layers import UNIT  # noqa: E402
from bitsback.training.neighbours import Neighbours, choose  # noqa: E402

OFFSETS = [(0, -1), (0, -4), (-1, 3), (-1, -4), (-4, 4), (-4, -4)]
FEATURES = (*map(Feature, neighbours(0, OFFSETS)), Feature(Tap("row")), Feature(Tap("column")))


@pytest.mark.parametrize("levels", [2, 256])
def test_features_are_those_of_the_coding_path(levels: int) -> None:
    spec = ContextSpec((FEATURES,), ((4,),), border=levels // 3)
    net = TrainableContext(spec, 1, *((1, "bernoulli") if levels == 2 else (3, "logistic_mixture")))
    network = ContextNetwork(spec, 1, 1 if levels == 2 else 3, companding(), net.export())
    x = np.random.default_rng(0).integers(0, levels, (3, 7, 6), np.uint8)
    planes = ContextCodec(network, (3, 7, 6, 1), levels).survey(x[..., None])
    expected = np.empty((3, 7, 6, len(FEATURES)), np.uint8)
    rows, columns = np.ogrid[MARGIN : MARGIN + 7, MARGIN : MARGIN + 6]
    for j, feature in enumerate(FEATURES):
        tap = feature.a
        value = planes[plane(tap, 1)].astype(np.int64)[:, rows + tap.dy, columns + tap.dx]
        expected[..., j] = companding()[value.clip(-4096, 4095) + 4096]
    gather = Neighbours(spec, 7, 6, levels)
    chosen = torch.randperm(3 * 7 * 6)[:100]
    found = gather(gather.plane(torch.from_numpy(x)), chosen) * UNIT
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(found.numpy(), expected.reshape(-1, len(FEATURES))[chosen])


def test_other_features_are_refused() -> None:
    spec = ContextSpec(((Feature(Tap("value", 0, 0, -1), Tap("value", 0, -1, 0)),),), ((4,),))
    with pytest.raises(ValueError, match="features"):
        Neighbours(spec, 7, 6, 256)


def test_the_choice_of_pixels_is_unbiased() -> None:
    torch.manual_seed(0)
    x = torch.zeros(500, 20, 20, dtype=torch.uint8)
    x[:, 8:12, 8:12] = 100
    cost = torch.rand(x.numel())
    index, weight = choose(x, 1 / 8)
    assert len(index) < x.numel() / 2
    assert cost[index] @ weight == pytest.approx(float(cost.sum()), rel=0.01)
    near = torch.zeros(20, 20, dtype=torch.bool)
    near[8:14, 6:14] = True
    assert (weight[near.flatten()[index % 400]] == 1).all()
    assert (weight[~near.flatten()[index % 400]] == 8).all()
