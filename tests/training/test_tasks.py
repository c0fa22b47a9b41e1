import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.training.architecture import candidates, network_of  # noqa: E402
from bitsback.training.context import TrainableContext  # noqa: E402
from bitsback.training.export import export_context  # noqa: E402
from bitsback.training.sampling import Gatherer, surveyor  # noqa: E402
from bitsback.training.tasks import ContextTask, Pools, VAETask, channel_bits, latent_cost  # noqa: E402
from bitsback.training.vae import TrainableVAE  # noqa: E402
from helpers import drawn_images, tiny_model  # noqa: E402


def images(count: int, channels: int, seed: int = 0) -> list[np.ndarray]:
    """Slopes with some noise, of several sizes: nothing so surprising that a coder's smallest probability counts."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        height, width = rng.integers(9, 18, 2)
        slope = np.add.outer(rng.integers(1, 4) * np.arange(height), rng.integers(1, 4) * np.arange(width))
        made.append((slope[..., None] + rng.integers(0, 6, (height, width, channels)) + 120).astype(np.uint8))
    return made


def blocks(count: int, channels: int) -> list[np.ndarray]:
    """Blocks of flat colour, close to each other: what sharp components are for."""
    rng = np.random.default_rng(0)
    return [rng.integers(120, 136, (3, 4, channels), np.uint8).repeat(4, 0).repeat(5, 1) for _ in range(count)]


def trainable(channels: int, number: int = 0, levels: int = 256) -> tuple:
    architecture = candidates(channels, levels, 32, 0.5, "small")[number]
    torch.manual_seed(0)
    module = TrainableContext(architecture.spec, channels, architecture.likelihood)
    return architecture, module


@pytest.mark.parametrize(("channels", "number"), [(1, 0), (1, 1), (1, 2), (3, 0), (3, 1), (4, 0), (2, 1)])
def test_what_is_trained_is_what_codes(channels: int, number: int) -> None:
    """With the quantisation in the loop, the score is the code length of the exported model."""
    architecture, module = trainable(channels, number)
    some = (blocks if architecture.spec.sharp else images)(3, channels)
    ordered = [np.ascontiguousarray(image[..., list(architecture.colour)]) for image in some]
    gatherer = surveyor(architecture.spec, channels, architecture.likelihood)(ordered)
    task = ContextTask(module, Pools(lambda n: ordered, np.arange(3), lambda i: gatherer, 3, 1), gatherer)
    task.quantise(True)
    total, *parts = task.score()
    assert total == pytest.approx(sum(parts) / channels)
    model = export_context(module, architecture.config("tiny"))
    coded = sum(float(model.elbo_bits(image[None])[0]) for image in some) / sum(image.size for image in some)
    assert total == pytest.approx(coded, rel=2e-3)
    for image in some:
        assert np.array_equal(model.decode(model.encode(image[None]), 1, image.shape)[0], image)


def test_two_valued_images_train_as_they_code() -> None:
    architecture, module = trainable(1, levels=2)
    some = [image & 1 for image in images(3, 1)]
    gatherer = surveyor(architecture.spec, 1, architecture.likelihood)(some)
    task = ContextTask(module, Pools(lambda n: some, np.arange(3), lambda i: gatherer, 3, 1), gatherer)
    task.quantise(True)
    model = export_context(module, architecture.config("tiny"))
    coded = sum(float(model.elbo_bits(image[None])[0]) for image in some) / sum(image.size for image in some)
    assert task.score()[0] == pytest.approx(coded, rel=2e-3)


def test_draws_of_mostly_plain_images_are_fair() -> None:
    architecture, module = trainable(1)
    rng = np.random.default_rng(0)
    flat = [np.where(rng.random((40, 40, 1)) < 0.01, 200, 0).astype(np.uint8) for _ in range(4)]
    gatherer = surveyor(architecture.spec, 1, architecture.likelihood)(flat)
    assert gatherer.plain_part > 0.5
    drawn = []
    with torch.no_grad():
        every = float(channel_bits(module, gatherer(np.arange(len(gatherer.samples)))).mean())
        for step in range(40):
            picks = gatherer.draw(512, np.random.default_rng(step))
            assert len(picks) == 512
            drawn.append(float(channel_bits(module, gatherer(picks), torch.from_numpy(gatherer.weights(picks))).mean()))
    assert np.mean(drawn) == pytest.approx(every, abs=5 * np.std(drawn) / 40**0.5 + 1e-6)


def test_starting_from_a_model_computes_what_it_does() -> None:
    architecture, module = trainable(3)
    model = export_context(module, architecture.config("tiny"))
    torch.manual_seed(5)
    _, other = trainable(3)
    other.start_from(network_of(model))
    assert export_context(other, architecture.config("tiny")).id == model.id


def test_a_task_draws_the_same_at_the_same_step() -> None:
    architecture, module = trainable(1)
    some = images(6, 1)
    survey = surveyor(architecture.spec, 1, architecture.likelihood)
    loaded: list[list[int]] = []

    def load(numbers: np.ndarray) -> list[np.ndarray]:
        loaded.append(list(numbers))
        return [some[n] for n in numbers]

    def task() -> ContextTask:
        return ContextTask(module, Pools(load, np.arange(6), survey, 2, 10), survey(some[:1]))

    walked, jumped = task(), task()
    for step in range(40):
        a = walked.draw(step, 64)
    last = loaded[-1]
    assert sorted(number for pool in loaded[:3] for number in pool) == list(range(6))  # each image once
    b = jumped.draw(39, 64)
    assert np.array_equal(a, b) and loaded[-1] == last
    assert torch.equal(walked.loss(a, 0.5), jumped.loss(b, 0.5))


def test_one_pool_is_surveyed_once() -> None:
    surveyed = []

    class Nothing(Gatherer):
        def __init__(self) -> None:
            surveyed.append(1)

    pools = Pools(lambda n: [], np.arange(5), lambda images: Nothing(), 100, 3)
    assert pools.at(0) is pools.at(1000)
    assert len(surveyed) == 1


def vae() -> VAETask:
    config = tiny_model(2).config
    some = torch.from_numpy(drawn_images(tiny_model(2), 40).transpose(0, 3, 1, 2).copy())
    return VAETask(TrainableVAE(config.encoder, config.decoder, config.likelihood), some, some)


def test_free_bits_cost_nothing_and_get_fewer() -> None:
    for bits, done, slope in ((0.05, 0.2, 0.0), (0.07, 0.2, 1.0), (0.01, 0.6, 1.0)):
        latents = torch.tensor(bits, requires_grad=True)
        latent_cost(latents, 0.1, done).backward()
        assert latents.grad == slope
    assert latent_cost(torch.tensor(0.4), 0.0, 0.1, warm_up=0.4) == pytest.approx(0.12)


def test_an_epoch_has_each_image_once() -> None:
    task = vae()
    seen = np.concatenate([task.draw(step, 8) for step in range(5)])
    assert sorted(seen) == list(range(40))
    assert list(task.draw(2, 8)) == list(vae().draw(2, 8)) != list(task.draw(7, 8))
