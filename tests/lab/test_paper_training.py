import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bitsback.lab.paper_training import VAE, BetaBinomial, train  # noqa: E402
from bitsback.lab.vae import BINARISED, FULL, SPECS, Spec  # noqa: E402

EACH = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def bars(count: int) -> np.ndarray:
    """Images of a bar somewhere, (n, 784)."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((count, 28, 28), np.uint8)
    for one in pixels:
        one[rng.integers(0, 28)] = 200
    return pixels.reshape(count, 784)


@EACH
def test_it_learns_and_repeats_itself(spec: Spec) -> None:
    told: list[int] = []
    first, history = train(spec, bars(300), 3, seed=1, told=lambda one: told.append(one.number))
    assert told == [1, 2, 3] and history[2].bits < history[1].bits < history[0].bits
    again, _ = train(spec, bars(300), 3, seed=1)
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    other, _ = train(spec, bars(300), 3, seed=2)
    assert not np.array_equal(first.weights["encoder.0.weight"], other.weights["encoder.0.weight"])


@EACH
def test_it_is_the_model_that_codes(spec: Spec) -> None:
    torch.manual_seed(0)
    model = VAE(spec)
    x = bars(50) if spec is FULL else (bars(50) > 0).astype(np.uint8)
    with torch.no_grad():
        bits = np.mean([float(model.bits(torch.from_numpy(x))) for _ in range(20)])
    found = model.trained().elbo_bits(x.reshape(-1, 28, 28, 1), draws=20).sum()
    assert found == pytest.approx(bits, rel=0.003)


def test_the_gradient_is_that_of_torch() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 256, 200, np.uint8))
    a, b = (torch.from_numpy(np.exp(rng.uniform(-3, 3, 200)).astype(np.float32)).requires_grad_() for _ in range(2))
    BetaBinomial.apply(x, a, b).sum().backward()
    found = a.grad.clone(), b.grad.clone()
    a.grad = b.grad = None
    k, g = x.double(), torch.lgamma
    p, q = a.double(), b.double()
    (g(k + p) + g(255 - k + q) + g(p + q) - g(255 + p + q) - g(p) - g(q)).sum().backward()
    assert torch.allclose(found[0], a.grad, rtol=1e-3, atol=1e-4)
    assert torch.allclose(found[1], b.grad, rtol=1e-3, atol=1e-4)


def test_sizes() -> None:
    assert sum(p.numel() for p in VAE(BINARISED).parameters()) == 784 * 100 + 100 + 100 * 80 + 80 + 4100 + 79184
