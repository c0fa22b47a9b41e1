from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.training.loop import Schedule, fit  # noqa: E402
from bitsback.training.vae import TrainableVAE  # noqa: E402
from helpers import drawn_images, tiny_model  # noqa: E402

SCHEDULE = Schedule(epochs=4, batch=32, learning_rate=3e-3, quantise_from=0.5, warm_up=1)


class Killed(Exception):
    pass


def trainable() -> TrainableVAE:
    config = tiny_model(2).config
    torch.manual_seed(0)
    return TrainableVAE(config.encoder, config.decoder, "bernoulli")


def images() -> torch.Tensor:
    return torch.from_numpy(drawn_images(tiny_model(2), 320).transpose(0, 3, 1, 2).copy())


def test_training_lowers_the_bits(tmp_path: Path) -> None:
    log = fit(trainable(), images()[:256], images()[256:], SCHEDULE, tmp_path / "checkpoint.pt")
    assert [row.epoch for row in log] == [1, 2, 3, 4]
    assert log[-1].held_out < log[0].held_out
    assert log[-1].latents + log[-1].pixels == pytest.approx(log[-1].held_out)


def test_a_killed_run_goes_on_to_the_same_model(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    unbroken = trainable()
    fit(unbroken, images()[:256], images()[256:], SCHEDULE, tmp_path / "a.pt")

    steps = 0

    def killer(done: int, total: int, bits: float) -> None:
        nonlocal steps
        steps += 1
        if steps in (5, 21):
            raise Killed

    while True:
        resumed = trainable()
        try:
            fit(resumed, images()[:256], images()[256:], SCHEDULE, tmp_path / "b.pt", progress=killer)
        except Killed:
            continue
        break
    assert steps > 32
    for name, p in unbroken.state_dict().items():
        assert torch.equal(p, resumed.state_dict()[name]), name


def test_the_rate_is_constant_and_then_falls() -> None:
    schedule = Schedule(epochs=10, learning_rate=2.0, anneal=0.25)
    assert schedule.rate(0) == schedule.rate(0.75) == 2
    assert schedule.rate(0.875) == pytest.approx(1.01)
    assert schedule.rate(1) == pytest.approx(0.02)


def test_free_bits_cost_nothing_and_get_fewer() -> None:
    schedule = Schedule(epochs=10, free=0.1)
    for bits, epochs, slope in ((0.05, 2, 0.0), (0.07, 2, 1.0), (0.01, 6, 1.0)):
        latents = torch.tensor(bits, requires_grad=True)
        schedule.latent_cost(latents, epochs).backward()
        assert latents.grad == slope
    assert Schedule(epochs=10, warm_up=3).latent_cost(torch.tensor(0.4), 1) == pytest.approx(0.2)
