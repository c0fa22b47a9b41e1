import doctest

import numpy as np
import pytest

from bitsback.ans import Stack
from bitsback.lab import latents
from bitsback.models import Model
from helpers import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model(256)


def test_examples() -> None:
    assert doctest.testmod(latents).failed == 0


def test_information_is_what_the_latents_cost_on_average(model: Model) -> None:
    images = model.draw(4)
    found = model.trained.information(images)
    assert found.shape == (4, model.trained.latents) and (found > -1e-6).all()
    posterior = model.trained.posterior(images)
    random = latents.noise(np.random.default_rng(0), 500 * 24 * posterior.mean.size)
    spent = [model.trained.latent_bits - posterior.bits(posterior.pop(random)) for _ in range(500)]
    assert found == pytest.approx(np.mean(spent, 0), rel=0.1, abs=0.2)


def test_information_by_hand(model: Model) -> None:
    image = model.draw(1)
    posterior = model.trained.posterior(image)
    buckets = 1 << model.trained.latent_bits
    total = np.zeros(model.trained.latents)
    for bucket in range(buckets):
        cost = posterior.bits(np.full(posterior.shape, bucket, np.uint16))[0]
        total += 2**-cost * (np.log2(buckets) - cost)
    assert model.trained.information(image)[0] == pytest.approx(total)


def test_a_traversal_moves_one_latent(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    image = model.draw(1)
    seen = []
    likelihood = model.trained.likelihood
    monkeypatch.setattr(model.trained, "likelihood", lambda z: seen.append(z.copy()) or likelihood(z))
    buckets = latents.quantiles(model, 5)
    images = latents.traversal(model, image, 2, buckets)
    assert images.shape == (5, *model.shape)
    moved = np.concatenate(seen)
    assert moved[:, 2].tolist() == buckets
    rest = np.delete(moved, 2, 1)
    assert (rest == np.delete(latents.modes(model, image), 2, 1)).all()
    assert (latents.traversal(model, image, 2, buckets) == images).all()


def test_quantiles_share_the_prior_evenly(model: Model) -> None:
    found = latents.quantiles(model, 8)
    assert found == sorted(set(found)) and set(np.diff(found)) == {(1 << model.trained.latent_bits) // 8}


def test_draws_depend_on_the_seed_only(model: Model) -> None:
    images = model.draw(3)
    first = latents.again(model, images, 2)
    assert first.shape == (2, 3, *model.shape) and (first[0] != first[1]).any()
    assert (latents.again(model, images, 2) == first).all()
    assert (latents.again(model, images, 2, seed=1) != first).any()


def test_a_draw_is_decoding(model: Model) -> None:
    """What was popped from random bits, pushed again, gives the same bits."""
    z = latents.modes(model, model.draw(1))
    random = latents.noise(np.random.default_rng(5), 24 * 96 * 2)
    before = random.copy()
    codec = model.trained.likelihood(z)
    x = codec.pop(random)
    codec.push(random, x)
    assert random == before and isinstance(random, Stack)
