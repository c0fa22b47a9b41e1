from dataclasses import replace

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.ans import Stack  # noqa: E402
from bitsback.codecs import bucket_codes  # noqa: E402
from bitsback.kinds.base import ImageSpec  # noqa: E402
from bitsback.kinds.context.network import ContextSpec, Feature, Tap, neighbours  # noqa: E402
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec  # noqa: E402
from bitsback.kinds.vae.config import VAEConfig  # noqa: E402
from bitsback.nets.layers import Conv, Dense, NetSpec, Shuffle, Unflatten  # noqa: E402
from bitsback.training import Regime  # noqa: E402
from bitsback.training.architecture import VAEArchitecture, on_a_chain, plain_spec  # noqa: E402
from bitsback.training.entrants import Given, VAEEntrant  # noqa: E402
from bitsback.training.export import export  # noqa: E402
from bitsback.training.layers import CENTRE, UNIT  # noqa: E402
from bitsback.training.loop import optimise  # noqa: E402
from bitsback.training.vae import TrainableVAE  # noqa: E402
from contexts import picture  # noqa: E402
from helpers import drawn_images, tiny_model  # noqa: E402


def trainable(levels: int, above: tuple[int, ...] = ()) -> TrainableVAE:
    config = tiny_model(levels, above).config
    torch.manual_seed(0)
    further = [(level.encoder, level.decoder) for level in config.above]
    return TrainableVAE(config.encoder, config.decoder, config.likelihood, above=further)


def config(levels: int, above: tuple[int, ...] = ()) -> VAEConfig:
    base = tiny_model(levels, above).config
    return VAEConfig(
        name="trained",
        image=ImageSpec(8, 12, 1, 2 if levels == 2 else 256),
        latents=base.latents,
        latent_bits=10,
        likelihood=BernoulliSpec() if levels == 2 else MixtureSpec(2),
        encoder=base.encoder,
        decoder=base.decoder,
        above=base.above,
    )


@pytest.mark.parametrize("levels", [2, 256])
def test_with_a_context_network_the_objective_is_the_code_length(levels: int) -> None:
    taps = neighbours(0, [(0, -1), (-1, 0), (-1, 3), (-4, -4)])
    spec = ContextSpec(((*map(Feature, taps), Feature(Tap("row"))),), ((12, 8),), map=5)
    base = tiny_model(levels).config
    decoder = NetSpec((base.latents,), (Dense(base.latents, 48), Unflatten(8, 2, 3), Conv(8, 80, 3), Shuffle(4)))
    torch.manual_seed(0)
    model = TrainableVAE(base.encoder, decoder, base.likelihood, spec)
    assert model.context is not None
    with torch.no_grad():
        for layer in model.context.layers()[0]:
            layer.weight.mul_(2)
    model.quantise(True)
    exported = export(model, msgspec.structs.replace(config(levels), decoder=decoder, context=spec))
    rng = np.random.default_rng(0)
    z = rng.integers(0, 1 << 10, (300, base.latents)).astype(np.uint16)
    words = rng.integers(0, 1 << 32, 60_000, np.uint32)
    likelihood = exported.trained.likelihood(z)
    images = likelihood.pop(Stack.from_bytes(b"\0\0\0\0\1\0\0\0" + words.tobytes()))
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        maps = model.decoder(torch.from_numpy(bucket_codes(10)[z]).float() / UNIT)
        nats = model.eval().pixel_nats(maps, x)
        model.train()
        torch.manual_seed(1)
        sampled = model.pixel_nats(maps, x)
    # No sample costs the codec more than 24 bits
    assert float(nats) / np.log(2) == pytest.approx(likelihood.bits(images).sum(), rel=0.005)
    assert float(sampled) == pytest.approx(float(nats), rel=0.1)
    np.testing.assert_array_equal(exported.decode(exported.encode(images), 300), images)


def test_a_model_grows_from_a_smaller_one() -> None:
    """What it makes of images is what the smaller one made, with fewer latents and a context network that sees more."""
    small = VAEArchitecture("small", (8, 12), BernoulliSpec(), 5, 6, plain_spec((6, 4), 8))
    near = tuple(one for one in plain_spec((6, 4)).features[0] if abs(one.a.dx) < 3)
    small = replace(small, context=msgspec.structs.replace(small.context, features=(near,)))
    torch.manual_seed(0)
    model = TrainableVAE(*small.networks, small.likelihood, small.context)
    model.quantise(True)
    start = export(model, small.config("start"))
    large = replace(small, latents=3, context=plain_spec((10, 7), 8))
    grown = TrainableVAE(*large.networks, large.likelihood, large.context).eval()
    grown.start_from(start.config, start.tensors, [1, 4])
    model.eval().quantise(False)
    z = torch.full((20, 5), CENTRE)
    z[:, [1, 4]] += torch.rand(20, 2)
    x = torch.from_numpy(drawn_images(tiny_model(2), 20).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        told = torch.cat([z[:, [1, 4]], torch.full((20, 1), CENTRE)], 1)
        before, after = (float(m.pixel_nats(m.decoder(latents), x)) for m, latents in ((model, z), (grown, told)))
        kept = torch.tensor([1, 4, 6, 9])
        seen = x.float() * 128 / UNIT
        posteriors = model.encoder(seen)[:, kept], grown.encoder(seen)[:, [0, 1, 3, 4]]
    assert after == pytest.approx(before, rel=1e-2)  # of rounded weights
    assert torch.allclose(*posteriors, atol=0.1)


@pytest.mark.parametrize("levels", [1, 3])
def test_from_images_to_a_model_on_a_chain(levels: int) -> None:
    """That is the same from any number of threads, though latents are drawn in each of them."""
    images = list(picture("smooth", (40, 12, 16, 1), 2))
    given = Given(lambda numbers: [images[n] for n in numbers], np.arange(32), images[32:], 192, Regime(), 1, "cpu")
    one, _, plain, ladder = on_a_chain(1, 2, images, "small")
    assert one.context is not None and plain.context is None and not plain.above
    entrant, made = VAEEntrant(ladder if levels > 1 else one), []
    for threads in (1, 2):
        task = entrant.task(given)
        optimise(task, replace(entrant.schedule(given, 2), quantise_from=0.5, check=2, parts=2), threads=threads)
        made.append(entrant.export(task.module, "made"))
    assert made[0].id == made[1].id and made[0].tag == 3 and len(made[0].config.levels) == levels
    assert np.array_equal(made[0].decode(made[0].encode(np.stack(images)), 40), np.stack(images))


def test_what_may_be_on_a_chain() -> None:
    images = [np.zeros((12, 16, 3), np.uint8)] * 3
    grey = [image[..., :1] for image in images]
    assert [one.likelihood for one in on_a_chain(1, 256, grey, "medium")] == [MixtureSpec(4)] * 4
    assert [one.channels for one in on_a_chain(3, 256, images, "medium")] == [3] * 4
    for some in ([image[1:] for image in images], [*images, images[0][:8]]):
        assert not on_a_chain(3, 256, some, "medium")


@pytest.mark.parametrize(("levels", "above"), [(2, ()), (256, ()), (2, (5, 4))])
def test_the_objective_is_that_of_the_exported_model(levels: int, above: tuple[int, ...]) -> None:
    """On images drawn from the model itself: what is unlikely costs 24 bits in integers, and any number in floats."""
    model = trainable(levels, above)
    model.quantise(True)
    exported = export(model, config(levels, above))
    z = np.random.default_rng(0).integers(0, 1 << 10, (300, exported.config.latents)).astype(np.uint16)
    words = np.random.default_rng(1).integers(0, 1 << 32, 60_000, np.uint32)
    likelihood = exported.trained.likelihood(z)
    images = likelihood.pop(Stack.from_bytes(b"\0\0\0\0\1\0\0\0" + words.tobytes()))
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        out = model.decoder(torch.from_numpy(bucket_codes(10)[z]).float() / UNIT)
        nats = model.pixel_nats(out, x)
        kl, _ = model.bits(x)
    assert float(nats) / np.log(2) == pytest.approx(likelihood.bits(images).sum(), rel=0.01)
    assert len(kl) == 1 + len(above)
    sampled = exported.bits(images).latents
    # Means at 4 deviations, which random weights give, are beyond the last bucket's edge: hence the tolerance
    assert sampled.mean() == pytest.approx(float(kl.sum()), rel=0.1)
    np.testing.assert_array_equal(exported.decode(exported.encode(images), 300), images)
