from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.errors import BitsBackError  # noqa: E402
from bitsback.training.loop import Schedule, optimise  # noqa: E402
from bitsback.training.tasks import VAETask  # noqa: E402
from bitsback.training.vae import TrainableVAE  # noqa: E402
from helpers import drawn_images, tiny_model  # noqa: E402

SCHEDULE = Schedule(32, batch=32, learning_rate=3e-3, warm_up=3, quantise_from=0.5, check=8)


class Killed(Exception):
    pass


class Line:
    """A task so small that everything about it is known: a parameter that should become 3."""

    def __init__(self, start: float = 0.0) -> None:
        self.module = torch.nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.module.weight.fill_(start)
        self.drawn: list[int] = []
        self.quantised = False
        self.worth: list[float] = []
        self.seen: list[int] = []

    def quantise(self, on: bool) -> None:
        self.quantised = on

    def draw(self, step: int, count: int) -> np.ndarray:
        self.drawn.append(step)
        return np.random.default_rng([7, step]).integers(0, 100, count)

    def loss(self, picks: np.ndarray, done: float) -> torch.Tensor:
        self.seen.append(len(picks))
        noise = torch.from_numpy(picks).float().mean() / 1000
        return (self.module.weight[0, 0] - 3 - noise) ** 2

    def score(self) -> tuple[float, ...]:
        if self.worth:
            return (self.worth.pop(0),)
        return (abs(float(self.module.weight[0, 0]) - 3),)


def vae() -> VAETask:
    config = tiny_model(2).config
    torch.manual_seed(0)
    images = torch.from_numpy(drawn_images(tiny_model(2), 320).transpose(0, 3, 1, 2).copy())
    module = TrainableVAE(config.encoder, config.decoder, config.likelihood)
    return VAETask(module, images[:256], images[256:], warm_up=0.25)


def weights(task: object) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in task.module.named_parameters()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_training_lowers_the_bits() -> None:
    run = optimise(vae(), SCHEDULE)
    assert [row.step for row in run.log] == [8, 16, 24, 32]
    assert run.log[-1].held_out < run.log[0].held_out
    assert sum(run.log[-1].parts) == pytest.approx(run.log[-1].held_out)
    assert run.reason == "all steps were done"


def test_a_run_that_was_killed_three_times_gives_the_same_model(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    unbroken = vae()
    optimise(unbroken, SCHEDULE, tmp_path / "a.pt")
    steps = 0

    def killer(run: object, bits: float) -> None:
        nonlocal steps
        steps += 1
        if steps in (5, 21, 23):
            raise Killed

    while True:
        resumed = vae()
        try:
            optimise(resumed, SCHEDULE, tmp_path / "b.pt", progress=killer)
        except Killed:
            continue
        break
    assert steps > 32
    assert_same(weights(unbroken), weights(resumed))


def test_a_run_that_pauses_gives_the_same_model(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    unbroken, paused = vae(), vae()
    optimise(unbroken, SCHEDULE)
    for until in (3, 8, 19, None):
        optimise(paused, SCHEDULE, tmp_path / "c.pt", until=until)
    assert_same(weights(unbroken), weights(paused))


def test_threads_do_not_matter() -> None:
    one, two = Line(), Line()
    schedule = replace(SCHEDULE, parts=4)
    optimise(one, schedule, threads=1)
    optimise(two, schedule, threads=3)
    assert_same(weights(one), weights(two))
    assert set(one.seen) == {8}


def test_the_best_weights_are_what_is_left() -> None:
    line = Line()
    line.worth = [4.0, 2.0, 5.0, 6.0]
    run = optimise(line, SCHEDULE)
    again = Line()
    optimise(again, SCHEDULE, until=16)
    assert run.best_score == 2.0 and run.best == 16
    assert_same(weights(line), weights(again))


def test_it_can_be_stopped_and_keeps_what_it_has(tmp_path: Path) -> None:
    line = Line()
    run = optimise(line, SCHEDULE, tmp_path / "d.pt", stop=lambda: len(line.drawn) == 11)
    assert (run.step, run.reason) == (11, "it was stopped")
    assert run.log[-1].step == 11
    more = optimise(Line(), SCHEDULE, tmp_path / "d.pt")
    assert (more.step, more.reason) == (32, "all steps were done")


def test_annealing_begins_early_without_progress() -> None:
    line = Line()
    line.worth = [1.0, *(2.0 for _ in range(100))]
    run = optimise(line, replace(SCHEDULE, steps=800, anneal=0.5, patience=0.05))
    assert run.step == run.schedule.steps < 200
    assert run.best == 8


def test_the_steps_follow_the_time() -> None:
    run = optimise(Line(), replace(SCHEDULE, steps=1 << 30, check=50), limit=0.5)
    assert run.step == run.schedule.steps
    assert run.seconds < 5


def test_smaller_parts_where_memory_is_short() -> None:
    class Greedy(Line):
        def loss(self, picks: np.ndarray, done: float) -> torch.Tensor:
            if len(picks) > 10:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
            return super().loss(picks, done)

    greedy = Greedy()
    run = optimise(greedy, SCHEDULE)
    assert run.schedule.parts == 4 and set(greedy.seen) == {8}
    assert run.log[-1].held_out < run.log[0].held_out


def test_no_memory_at_all_is_an_error_and_so_is_divergence() -> None:
    class Hungry(Line):
        def loss(self, picks: np.ndarray, done: float) -> torch.Tensor:
            raise MemoryError

    class Wild(Line):
        def loss(self, picks: np.ndarray, done: float) -> torch.Tensor:
            return super().loss(picks, done) * float("nan")

    class Wrong(Line):
        def loss(self, picks: np.ndarray, done: float) -> torch.Tensor:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(BitsBackError, match="not enough memory"):
        optimise(Hungry(), SCHEDULE)
    with pytest.raises(BitsBackError, match="diverged at step 0"):
        optimise(Wild(), SCHEDULE)
    with pytest.raises(RuntimeError, match="shapes"):
        optimise(Wrong(), SCHEDULE)


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(steps=1000, learning_rate=2.0, warm_up=100, anneal=0.25, quantise_from=0.6)
    assert schedule.rate(0) == pytest.approx(0.02)
    assert schedule.rate(100) == schedule.rate(750) == 2
    assert schedule.rate(875) == pytest.approx(1)
    assert schedule.rate(1000) == 0
    assert not schedule.annealing(749) and schedule.annealing(750)
    assert not schedule.quantised(599) and schedule.quantised(600)
