import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.errors import CodecError
from bitsback.kinds.context.codec import positions
from bitsback.models import Model
from contexts import CONTENTS, picture
from helpers import drawn_images, tiny_model
from models.context_models import context_file, vae_file

CONTEXT = [(3, "regression", 0, 256), (3, "median", 0, 256), (1, None, 0, 2), (2, None, 0, 256)]


def context(kind: tuple, **options: object) -> Model:
    return Model.from_bytes(context_file(kind, **options))


def latent(levels: int) -> list[Model]:
    return [tiny_model(levels), Model.from_bytes(vae_file(levels))]


@given(n=st.integers(1, 20), height=st.integers(1, 12), width=st.integers(1, 12), channels=st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def testpositions(n: int, height: int, width: int, channels: int) -> None:
    order = positions((n, height, width, channels))
    assert np.array_equal(np.sort(order), np.arange(n * height * width * channels))
    # A sample comes after those that it depends on: to the left, above, above to the right, and earlier channels
    when = np.empty((n, height, width, channels), np.int64)
    when.reshape(-1)[order] = np.arange(order.size)
    assert (when[:, :, 1:] > when[:, :, :-1]).all()
    assert (when[:, 1:] > when[:, :-1]).all()
    assert (when[:, 1:, :-4] > when[:, :-1, 4:]).all()
    assert (when[..., 1:] > when[..., :-1]).all()


@pytest.mark.parametrize("kind", CONTEXT)
@pytest.mark.parametrize("content", CONTENTS)
def test_they_add_up_without_latents(kind: tuple, content: str) -> None:
    model = context(kind, colour=tuple(reversed(range(kind[0]))))
    images = picture(content, (5, 9, 14, kind[0]), kind[3])
    bits, latents = model.bits(images)
    assert bits.shape == images.shape and bits.min() >= 0
    alone = [8 * len(model.encode(image[None])[1:]) for image in images]
    assert bits.sum((1, 2, 3)) == pytest.approx(np.array(alone) - 32, abs=33)  # a head holds up to 32 bits
    assert np.array_equal(model.elbo_bits(images), bits.sum((1, 2, 3)))
    assert not latents.any()


@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("seed", [0, 5])
def test_they_add_up_with_latents(levels: int, seed: int) -> None:
    for model in latent(levels):
        images = drawn_images(model, 70)
        bits, latents = model.bits(images, seed)
        assert bits.shape == images.shape and bits.min() >= 0
        assert latents.shape == (70,) and latents.max() <= model.trained.latents * model.trained.latent_bits
        assert np.array_equal(bits.sum((1, 2, 3)) + latents, model.elbo_bits(images, seed))


def test_a_sample_is_charged_to_itself() -> None:
    model = context((3, "median", 0, 256), colour=(1, 2, 0))
    images = np.repeat(picture("smooth", (1, 9, 14, 3)), 256, 0)
    images[:, -1, -1, 0] = np.arange(256)  # coded last of all
    bits = model.bits(images).samples
    assert np.isclose(np.exp2(-bits[:, -1, -1, 0]).sum(), 1)
    bits[:, -1, -1, 0] = 0
    assert (bits == bits[0]).all()


def test_large_images_are_taken_in_tiles() -> None:
    model = context((1, None, 0, 2))
    images = picture("stripes", (1, 3, 1030, 1), 2)
    bits = model.bits(images).samples
    assert np.allclose(bits.sum((1, 2, 3)), model.elbo_bits(images))
    assert np.array_equal(bits[:, :, 515:], model.bits(images[:, :, 515:]).samples)


@pytest.mark.parametrize("kind", CONTEXT)
def test_drawn_images_are_those_of_the_model(kind: tuple) -> None:
    model = context(kind, colour=tuple(reversed(range(kind[0]))))
    images = model.draw(12, (16, 15, kind[0]))
    assert images.shape == (12, 16, 15, kind[0]) and images.dtype == np.uint8
    assert np.array_equal(images, model.draw(12, (16, 15, kind[0])))
    assert not np.array_equal(images, model.draw(12, (16, 15, kind[0]), seed=1))
    # What a model draws it finds likelier than anything else
    assert model.levels == 256 or images.max() == 1
    rng = np.random.default_rng(0)
    other = images[:, rng.permutation(16)][:, :, rng.permutation(15)]
    assert model.elbo_bits(images).sum() < 0.95 * model.elbo_bits(other).sum()


def test_single_samples_are_drawn_with_their_probability() -> None:
    model = context((1, None, 0, 2))
    count = 4000
    drawn = model.draw(count, (1, 1, 1)).ravel()
    one = 2.0 ** -float(model.bits(np.ones((1, 1, 1, 1), np.uint8)).samples.sum())
    assert 0.02 < one < 0.98
    assert abs(drawn.mean() - one) < 4 * (one * (1 - one) / count) ** 0.5


@pytest.mark.parametrize("levels", [2, 256])
def test_drawn_with_latents(levels: int) -> None:
    for model in latent(levels):
        images = model.draw(70)
        assert images.shape == (70, 8, 12, 1) and images.max() < levels
        assert not np.array_equal(images, model.draw(70, seed=1))
        assert not np.array_equal(images[:6], images[64:])


def test_drawn_digits_are_likely() -> None:
    model = Model.load("digits-binary")
    images = model.draw(20)
    rng = np.random.default_rng(0)
    other = images[:, rng.permutation(28)][:, :, rng.permutation(28)]
    assert model.elbo_bits(images).sum() < 0.6 * model.elbo_bits(other).sum()


def test_none_at_all() -> None:
    assert context(CONTEXT[0]).draw(0, (4, 4, 3)).shape == (0, 4, 4, 3)
    assert context(CONTEXT[0]).bits(np.zeros((0, 4, 4, 3), np.uint8)).samples.shape == (0, 4, 4, 3)
    assert tiny_model().bits(np.zeros((0, 8, 12, 1), np.uint8)).latents.shape == (0,)


@pytest.mark.parametrize("shape", [None, (4, 4, 1), (0, 4, 3), (4, 1025, 3)])
def test_images_that_cannot_be_drawn(shape: tuple[int, int, int] | None) -> None:
    with pytest.raises(CodecError, match=r"has images of shape|cannot be drawn"):
        context(CONTEXT[0]).draw(1, shape)


def test_images_of_another_kind() -> None:
    with pytest.raises(CodecError, match=r"takes uint8 \(n, \*\(0, 0, 3\)\)"):
        context(CONTEXT[0]).bits(np.zeros((1, 4, 4, 1), np.uint8))
    with pytest.raises(CodecError, match="takes samples 0 and 1"):
        context((1, None, 0, 2)).bits(np.full((1, 4, 4, 1), 2, np.uint8))
