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
