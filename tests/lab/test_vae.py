from pathlib import Path

import numpy as np
import pytest

from bitsback.ans import Stack
from bitsback.errors import FormatError
from bitsback.kinds import chain
from bitsback.lab.vae import BINARISED, FULL, SPECS, FloatVAE, Spec
from lab.networks import images, random_vae

EACH = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def noise(words: int, seed: int = 0) -> Stack:
    return Stack.from_bytes((1 << 32).to_bytes(8, "little") + np.random.default_rng(seed).bytes(4 * words))


@EACH
@pytest.mark.parametrize("bits, precision", [(2, 10), (12, 20), (7, 24)])
def test_images_come_back_and_so_do_the_bits(spec: Spec, bits: int, precision: int) -> None:
    vae = random_vae(spec).resolved(bits, precision)
    x = images(spec, 3)
    stack = noise(400)
    before = stack.copy()
    vae.codec(3).push(stack, x)
    assert np.array_equal(vae.codec(3).pop(stack), x)
    assert stack == before


@EACH
def test_the_chain_of_models_takes_it(spec: Spec) -> None:
    vae, x = random_vae(spec), images(spec, 5)
    payload = chain.encode(vae, x)  # type: ignore[arg-type]
    assert np.array_equal(chain.decode(vae, payload, 5), x)  # type: ignore[arg-type]


@EACH
def test_a_message_grows_by_the_elbo(spec: Spec) -> None:
    vae, x = random_vae(spec), images(spec, 40)
    stack = noise(200)
    before = stack.bits()
    for image in x:
        vae.codec(1).push(stack, image[None])
    elbo = vae.elbo_bits(x, draws=3)
    assert (stack.bits() - before) / elbo.sum() == pytest.approx(1, abs=0.03)
    assert elbo.shape == (40,) and (elbo > 0).all()


def test_few_bits_for_256_levels_are_a_tax_on_what_is_certain() -> None:
    vae = random_vae(FULL)
    vae.weights["decoder.1.bias"][:] = np.repeat([-6, 6], 784)  # black, for sure
    z = np.random.default_rng(2).integers(0, 4096, (8, FULL.latents))
    x = vae.likelihood(z).pop(noise(8 * 784 * 2))  # images that the model expects
    costs = [vae.resolved(precision=p).likelihood(z).bits(x).mean() for p in (10, 14, 24)]
    for cost, precision in zip(costs, (10, 14), strict=False):
        assert cost - costs[2] == pytest.approx(-np.log2(1 - 256 / 2**precision), rel=0.1)


def test_weights_are_kept(tmp_path: Path) -> None:
    vae = random_vae(BINARISED)
    with (tmp_path / "weights.npz").open("wb") as file:
        vae.save(file)
    again = FloatVAE.load(BINARISED, tmp_path / "weights.npz")
    assert again.weights.keys() == vae.weights.keys()
    assert all(np.array_equal(again.weights[name], vae.weights[name]) for name in vae.weights)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    with path.open("wb") as file:
        random_vae(BINARISED).save(file)
    with pytest.raises(FormatError, match="not the weights of the network full"):
        FloatVAE.load(FULL, path)
    path.write_bytes(b"PK\x03\x04 and nothing")
    with pytest.raises(FormatError, match="not a file of weights"):
        FloatVAE.load(FULL, path)
