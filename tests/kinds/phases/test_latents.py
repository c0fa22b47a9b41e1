import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import Uniform
from bitsback.errors import FormatError, ModelError
from bitsback.kinds.base import WithLatents
from bitsback.kinds.noise import noise
from bitsback.kinds.phases.latents import LatentCodec, without_lenders
from bitsback.models import Model
from bitsback.models.file import dump, parse
from contexts import CONTENTS, picture
from phases import LATENT_SIZE, phases_file

KINDS = [(1, 256, 3), (3, 256, 2), (1, 2, 2), (2, 2, 9)]


def model(channels: int, levels: int, latents: int, **options: object) -> Model:
    return Model.from_bytes(phases_file(channels, levels, latents=latents), **options)  # type: ignore[arg-type]


def trained(kind: tuple[int, int, int]) -> WithLatents:
    found = model(*kind).trained
    assert isinstance(found, WithLatents)
    return found


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(KINDS), content=st.sampled_from(CONTENTS), n=st.integers(1, 90))
def test_images_come_back(kind: tuple[int, int, int], content: str, n: int) -> None:
    images = picture(content, (n, *LATENT_SIZE, kind[0]), kind[1])
    one = model(*kind)
    assert np.array_equal(one.decode(one.encode(images), n, images.shape[1:]), images)


@pytest.mark.parametrize("kind", KINDS)
def test_so_do_stacks(kind: tuple[int, int, int]) -> None:
    """Those whose bits all latents borrow, at least: what is not borrowed is not found again."""
    shape = (3, *LATENT_SIZE, kind[0])
    codec = trained(kind)._codec(shape)
    assert isinstance(codec, LatentCodec)
    for borrowed in range(1 << kind[2].bit_length()):
        stack = noise(np.random.default_rng(borrowed), 30 * 3 * 130 * kind[0] + 100 * kind[2])
        codec._borrowed.push(stack, np.array([borrowed]))
        before = stack.copy()
        if borrowed > kind[2]:
            with pytest.raises(FormatError, match="more latents are borrowed than there are"):
                codec.pop(stack)
            continue
        images = codec.pop(stack)
        codec.push(stack, images)
        assert (stack == before) == (borrowed == kind[2])


@pytest.mark.parametrize(("channels", "levels", "latents", "suffices"), [(3, 256, 40, True), (1, 2, 120, False)])
def test_latents_borrow_what_there_is(
    channels: int, levels: int, latents: int, suffices: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And cost the less for it."""
    one, images = model(channels, levels, latents), picture("checkerboard", (20, *LATENT_SIZE, channels), levels)
    one.prove()
    honest, asked = Uniform.pop, []

    def pop(self: Uniform, stack: Stack) -> np.ndarray:
        found: np.ndarray = honest(self, stack)
        if self.shape == (1,):
            asked.append(int(found[0]))
        return found

    monkeypatch.setattr(Uniform, "pop", pop)
    payload = one.encode(images)
    assert np.array_equal(one.decode(payload, 20, images.shape[1:]), images)
    (borrowed,) = asked
    assert borrowed == latents if suffices else 0 < borrowed < latents
    excess = 8 * len(payload) - one.elbo_bits(images).sum()
    assert excess < 20 * (latents - borrowed) * trained((channels, levels, latents))._latents.spec.bits + 400


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_of_computing_gives_the_same(kind: tuple[int, int, int]) -> None:
    images = picture("smooth", (7, *LATENT_SIZE, kind[0]), kind[1])
    payload = model(*kind).encode(images)
    for engine in ("int8", "float32", "reference"):
        for threads, batch in ((2, 3), (1, 1)):
            one = model(*kind, engines=[engine], threads=threads, batch=batch)
            assert one.encode(images, threads=threads) == payload
            assert np.array_equal(one.decode(payload, 7, images.shape[1:], threads=threads), images)


def test_the_posterior_does_not_look_at_what_lends() -> None:
    one = trained((3, 256, 2))
    images = picture("smooth", (4, *LATENT_SIZE, 3))
    other = images.copy()
    other[:, ::2, 1::2] ^= 255
    other[:, 1::2, ::2] ^= 255
    assert np.array_equal(without_lenders(images), without_lenders(other))
    for part in ("mean", "scale"):
        assert np.array_equal(getattr(one.posterior(images), part), getattr(one.posterior(other), part))
    other = images.copy()
    other[:, 0, 0] ^= 255
    assert not np.array_equal(one.posterior(images).mean, one.posterior(other).mean)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_depend_on_latents_as_they_should(kind: tuple[int, int, int]) -> None:
    """Those of the last two grids do not; the probabilities of all values of a sample are 1 together."""
    one, images = trained(kind), picture("smooth", (2, *LATENT_SIZE, kind[0]), kind[1])
    z = np.zeros((2, kind[2]), np.uint16)
    bits = one.likelihood(z).bits(images)
    other = one.likelihood(z + np.uint16(60)).bits(images)
    lenders = np.zeros(LATENT_SIZE, bool)
    lenders[::2, 1::2] = lenders[1::2, ::2] = True
    assert np.array_equal(bits[:, lenders], other[:, lenders])
    assert not np.array_equal(bits[:, ~lenders], other[:, ~lenders])
    stack = Stack()
    one.likelihood(z).push(stack, images)
    assert np.array_equal(one.likelihood(z).pop(stack), images) and stack.is_initial()


def test_information_is_what_latents_cost() -> None:
    one, images = model(3, 256, 4), picture("smooth", (60, *LATENT_SIZE, 3))
    information = trained((3, 256, 4)).information(images)
    assert information.shape == (60, 4) and (information > -1e-9).all()
    drawn = np.mean([one.bits(images, seed).latents for seed in range(6)], 0)
    assert drawn.mean() == pytest.approx(information.sum(1).mean(), rel=0.1)
    samples, latents = one.bits(images)
    assert np.allclose(one.elbo_bits(images), samples.sum((1, 2, 3)) + latents)


@pytest.mark.parametrize("change", ["count", "bits", "map", "decoder", "missing"])
def test_unsound_latents_are_refused(change: str) -> None:
    from msgspec import structs

    _, config, tensors = parse(phases_file(1, 256, latents=3))
    latents = config.latents
    if change == "missing":
        del tensors["encoder.0.weight"]
    elif change == "map":
        config = structs.replace(config, phases=structs.replace(config.phases, map=0))
    else:
        new = {"count": 4, "bits": 13, "decoder": latents.encoder}[change]
        config = structs.replace(config, latents=structs.replace(latents, **{change: new}))
    with pytest.raises(ModelError):
        parse(dump(config, tensors))
