"""The training loop: Adam, a moving average of the weights, checks, checkpoints, and an end in time.

Whatever is trained is a :class:`Task`: it draws examples by number and says what they cost in bits. A step's
randomness depends on the seed and the step's number only, and a checkpoint holds everything else, so a run that was
killed and resumed gives the model that an unbroken one gives (on the same machine and torch version). A batch is split
into ``parts`` that may run at the same time; their gradients are summed in order, so the number of threads does not
matter.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitsback.archive import atomic
from bitsback.errors import BitsBackError
from bitsback.training.distributed import ALONE, Group


class Task(Protocol):
    """Something to train."""

    @property
    def module(self) -> nn.Module:
        """What has the parameters."""
        ...

    def quantise(self, on: bool) -> None:
        """Put the quantisation into the loop, or take it out."""
        ...

    def draw(self, step: int, count: int) -> NDArray[np.int64]:
        """The numbers of about ``count`` examples; the same for the same step."""
        ...

    def loss(self, picks: NDArray[np.int64], done: float) -> Tensor:
        """Mean cost of the examples in bits/dim, (), when a share ``done`` of the training is over."""
        ...

    def score(self) -> tuple[float, ...]:
        """Bits/dim on the held-out images, with the module as it is; then the parts that it consists of."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How to train; everything that decides the result but the data and the task."""

    steps: int
    batch: int = 4096
    learning_rate: float = 2e-3
    warm_up: int = 200
    """Steps over which the learning rate rises."""
    anneal: float = 0.35
    """Share of the steps, the last ones, over which the learning rate falls to 0; constant before."""
    quantise_from: float = 0.95
    """Share of the steps after which the quantisation enters the loop. It takes up to half a step's time; and what was
    learnt without it loses so little on its grid that a twentieth of the steps is enough to get it back."""
    average: float = 0.999
    """Decay of the moving average of the weights, which is what gets measured and exported."""
    check: int = 1000
    """Steps between two checks, each of which writes a checkpoint."""
    patience: float = 1.0
    """Share of the steps without progress on the held-out images after which the annealing begins at once."""
    parts: int = 1
    """Parts of a batch that are computed by themselves, at the same time where there are threads for it."""
    clip: float = 1.0
    """The longest gradient, in nats/dim; longer ones are cut."""
    seed: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        left = (self.steps - step) / max(self.anneal * self.steps, 1)
        return self.learning_rate * min(1.0, left, (step + 1) / max(self.warm_up, 1))

    def quantised(self, step: int) -> bool:
        """Whether the quantisation is in the loop at a step."""
        return step >= self.quantise_from * self.steps

    def annealing(self, step: int) -> bool:
        """Whether the learning rate falls already."""
        return step >= (1 - self.anneal) * self.steps


@dataclass(frozen=True)
class Check:
    """One row of the log; bits are bits/dim, ``held_out`` of the integer model with averaged weights."""

    step: int
    seconds: float
    train: float
    held_out: float
    parts: tuple[float, ...] = ()


PROGRESS = 3e-4
"""What share of its bits a model must save, for its curve to count as falling."""

MOST_PARTS = 64


@dataclass
class Run:
    """A training under way, or over; what a checkpoint holds but the tensors.

    ``best``: the step whose averaged weights scored best. ``reason``: why it ended, in words, when it has. ``until``:
    the step at which it ends or pauses.
    """

    schedule: Schedule
    step: int = 0
    seconds: float = 0.0
    best: int = 0
    best_score: float = math.inf
    log: list[Check] = field(default_factory=list)
    reason: str = ""
    until: int = 0


def optimise(
    task: Task,
    schedule: Schedule,
    checkpoint: Path | None = None,
    *,
    until: int | None = None,
    limit: float | None = None,
    threads: int = 1,
    group: Group = ALONE,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Run, float], None] = lambda run, bits: None,
    report: Callable[[Check], None] = lambda row: None,
) -> Run:
    """Train ``task.module`` and leave in it the averaged weights that scored best on the held-out images.

    Args:
        checkpoint: file written at each check, and resumed from when it is there.
        until: a step to pause at, as if killed there; calling again goes on.
        limit: seconds that training may take. The number of steps then follows the speed that is measured, so a run
            that is broken off may take another number of them: leave it out for a result that can be repeated.
        threads: how many parts of a batch may be computed at the same time.
        group: the processes that train together.
        stop: asked after each step; True ends the training there.
        progress: called after each step with the run and the last batch's bits/dim.
        report: called with each check.

    Raises:
        BitsBackError: the training diverged, or memory does not suffice for the smallest parts.
    """
    loop = _Loop(task, schedule, checkpoint, group)
    run = loop.run
    end = run.until = run.schedule.steps if until is None else min(until, run.schedule.steps)
    executor = ThreadPoolExecutor(threads, initializer=_one_thread) if threads > 1 else None
    with executor or nullcontext():
        while run.step < end and not run.reason:
            began = time.monotonic()
            bits = loop.advance(executor)
            run.seconds += time.monotonic() - began
            progress(run, bits)
            stopped = bool(group.agree(float(stop()))[0]) if group.size > 1 else stop()
            if stopped:
                run.reason = "it was stopped"
            if stopped or run.step % run.schedule.check == 0 or run.step >= run.schedule.steps:
                report(loop.check(limit))
                end = run.until = run.schedule.steps if until is None else min(until, run.schedule.steps)
    if run.step >= run.schedule.steps and not run.reason:
        run.reason = "all steps were done"
    if until is not None and run.step < run.schedule.steps and not run.reason:
        loop.save()
    load(task.module, loop.best)
    return run


def _one_thread() -> None:
    torch.set_num_threads(1)


class _Loop:
    """The tensors of a run and what is done with them."""

    def __init__(self, task: Task, schedule: Schedule, checkpoint: Path | None, group: Group) -> None:
        self.task, self.checkpoint, self.group = task, checkpoint, group
        self.parameters = dict(task.module.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.best = {name: p.clone() for name, p in self.average.items()}
        self.optimizer = torch.optim.Adam(
            self.parameters.values(), schedule.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.run = Run(schedule)
        self.seen: list[float] = []
        state = None
        if group.leads and checkpoint is not None and checkpoint.exists():
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = group.share(state)
        if state is not None:
            self._restore(state)

    def advance(self, executor: Executor | None) -> float:
        """One step; returns the batch's bits/dim."""
        run, schedule, group = self.run, self.run.schedule, self.group
        step = run.step
        torch.manual_seed(schedule.seed * 1_000_003 + step)
        self.task.quantise(schedule.quantised(step))
        picks = np.ascontiguousarray(self.task.draw(step, schedule.batch)[group.rank :: group.size])
        while True:
            try:
                bits, gradients = self._gradients(picks, step / schedule.steps, executor)
                break
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if 2 * schedule.parts > min(MOST_PARTS, len(picks)):
                    raise BitsBackError("not enough memory to train, however small the batches") from None
                schedule = run.schedule = replace(schedule, parts=2 * schedule.parts)
        if not math.isfinite(bits):
            raise BitsBackError(f"the training diverged at step {step}: try a lower learning rate")
        gradients = group.average(gradients)
        for p, gradient in zip(self.parameters.values(), gradients, strict=True):
            p.grad = gradient.contiguous()  # of a convolution on a GPU it may lie channels last
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), schedule.clip)
        for options in self.optimizer.param_groups:
            options["lr"] = schedule.rate(step)
        self.optimizer.step()
        with torch.no_grad():
            # A short memory at first, so that the average is not held back by the start
            decay = min(schedule.average, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.average.values()), list(self.parameters.values()), 1 - decay)
        run.step += 1
        self.seen.append(bits)
        return bits

    def _gradients(
        self, picks: NDArray[np.int64], done: float, executor: Executor | None
    ) -> tuple[float, list[Tensor]]:
        """The mean bits/dim of a batch and its gradient in nats/dim, part by part."""
        parts = np.array_split(picks, self.run.schedule.parts)
        parameters = list(self.parameters.values())

        def one(part: NDArray[np.int64]) -> tuple[float, list[Tensor]]:
            loss = self.task.loss(part, done) * (len(part) / len(picks))
            gradients = torch.autograd.grad(loss * math.log(2), parameters, allow_unused=True, materialize_grads=True)
            return float(loss.detach()), list(gradients)

        found = list((executor.map if executor is not None else map)(one, parts))
        total = found[0][1]
        for _, gradients in found[1:]:
            torch._foreach_add_(total, gradients)
        return math.fsum(bits for bits, _ in found), total

    def check(self, limit: float | None) -> Check:
        """Measure, adapt the schedule, write a checkpoint."""
        run, group = self.run, self.group
        began = time.monotonic()
        scores = group.share(self.score() if group.leads else None)
        run.seconds += time.monotonic() - began
        row = Check(run.step, round(run.seconds, 1), sum(self.seen) / max(len(self.seen), 1), scores[0], scores[1:])
        self.seen.clear()
        run.log.append(row)
        falls = scores[0] < run.best_score * (1 - PROGRESS) or not math.isfinite(run.best_score)
        if scores[0] < run.best_score:
            if falls or run.schedule.annealing(run.step):
                run.best = run.step
            run.best_score = scores[0]
            self.best = {name: p.clone() for name, p in self.average.items()}
        steps = self._retimed(limit) if group.leads else 0
        run.schedule = replace(run.schedule, steps=int(group.agree(float(steps))[0]))
        self.save()
        return row

    def _retimed(self, limit: float | None) -> int:
        """How many steps there are to be, given the time and the curve."""
        run, schedule = self.run, self.run.schedule
        steps, annealing = schedule.steps, schedule.annealing(run.step)
        if limit is not None:
            possible = run.step + max(0, int((limit - run.seconds) * run.step / max(run.seconds, 1e-9)))
            steps = possible if not annealing else min(steps, possible)
        if not annealing and run.step - run.best > schedule.patience * steps:
            steps = min(steps, math.ceil(run.step / (1 - schedule.anneal)))
        return max(steps, run.step)

    def score(self) -> tuple[float, ...]:
        """The task's score for the integer model with averaged weights; the module is left as it was."""
        kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        load(self.task.module, self.average)
        self.task.quantise(True)
        self.task.module.eval()
        with torch.no_grad():
            scores = self.task.score()
        load(self.task.module, kept)
        self.task.module.train()
        return scores

    def save(self) -> None:
        """Write the checkpoint: a kill leaves the old one or the new one."""
        if self.checkpoint is None or not self.group.leads:
            return
        state = {
            "run": asdict(self.run),
            "module": {name: p.detach() for name, p in self.parameters.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "best": self.best,
            "seen": self.seen,
        }
        with atomic.write(self.checkpoint, overwrite=True) as file:
            torch.save(state, file)

    def _restore(self, state: dict[str, Any]) -> None:
        load(self.task.module, state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, p in self.parameters.items():
            self.average[name] = state["average"][name].to(p.device)
            self.best[name] = state["best"][name].to(p.device)
        self.seen = state["seen"]
        kept: dict[str, Any] = state["run"]
        log = [Check(**{**row, "parts": tuple(row["parts"])}) for row in kept["log"]]
        self.run = Run(**{**kept, "schedule": Schedule(**kept["schedule"]), "log": log})
        self.run.reason = ""


def extend(checkpoint: Path, factor: float) -> None:
    """Let the run of a checkpoint go on for ``factor`` times its steps, or, if it is over, for so many times those that
    were done. Where the learning rate fell already it rises again."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    schedule = state["run"]["schedule"]
    schedule["steps"] = math.ceil(schedule["steps"] * factor)
    with atomic.write(checkpoint, overwrite=True) as file:
        torch.save(state, file)


@torch.no_grad()
def load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the parameters of the same names."""
    for name, p in module.named_parameters():
        p.copy_(weights[name])


def _out_of_memory(error: BaseException) -> bool:
    """Whether that is what it says; torch has no class of its own for it on a CPU."""
    words = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in words or "allocate" in words
