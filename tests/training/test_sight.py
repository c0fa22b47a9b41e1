from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec  # noqa: E402
from bitsback.kinds.phases.grids import steps  # noqa: E402
from bitsback.training.architecture import phases_spec  # noqa: E402
from bitsback.training.phases import TrainablePhases, fit_filters  # noqa: E402
from bitsback.training.sight import Scene  # noqa: E402


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([2, 256]), st.integers(1, 21), st.integers(1, 21), st.integers(1, 3),
    st.integers(1, 3), st.sampled_from([0, 8]), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_sees_what_the_kernel_sees(
    channels: int, levels: int, height: int, width: int, reach: int, more: int, period: int, edges: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, levels, (3, height, width, channels), dtype=np.uint8)
    spec = phases_spec(channels, levels, 8, 6, reach=(reach, 1), predicts=(more,), period=period, edges=edges)
    filters = {} if levels == 2 else fit_filters(spec, channels, list(x))
    # Weights as large as there are, too: their sums must stay exact
    for one in filters.values():
        one.weight[:] = rng.integers(-8192, 8192, one.weight.shape)
        one.bias[:] = rng.integers(-(2**20), 2**20, one.bias.shape)
    made = TrainablePhases(spec, channels, BernoulliSpec() if levels == 2 else MixtureSpec(2), filters)
    images = torch.from_numpy(x)
    for step in steps(height, width):
        expected = made.see(images, step)
        of_step = filters.get((spec.class_of(step.level), step.phase))
        found = Scene(spec, step, (height, width, channels), of_step, images.device).look(images, made.table)
        for a, b in zip(expected, found, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a.reshape(-1), b.reshape(-1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_bits_of_a_processor() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (4, 13, 16, 3), dtype=np.uint8)
    spec = phases_spec(3, 256, 16, 16, (8,), period=8)
    torch.manual_seed(0)
    made = TrainablePhases(spec, 3, MixtureSpec(3), fit_filters(spec, 3, list(x)))
    made.quantise(True)
    with torch.no_grad():
        expected = made.bits(torch.from_numpy(x))
        found = made.to("cuda").bits(torch.from_numpy(x).to("cuda")).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)
