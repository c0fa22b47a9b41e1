"""From a folder to a model: what ``bitsback train`` does, in the order in which it does it.

    look         what kind of images these are, and which of them are held out
    race         the candidates train for a short while; the one that is ahead, its file counted, goes on
    train        until the steps, the time or the progress are over
    export       to integers, with the checks that make the model safe to code with
    measure      archives of held-out images, against other codecs

What must outlive a kill lies in the run's folder: what was decided, and a checkpoint for each candidate. The rest is
found anew, and comes out the same.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from bitsback import __version__
from bitsback.archive import atomic
from bitsback.data import peers
from bitsback.data.collection import Collection, tally
from bitsback.data.load import load
from bitsback.data.look import Summary, look
from bitsback.data.split import Split, split
from bitsback.data.types import ImageType
from bitsback.errors import BitsBackError, ImageError, ModelError
from bitsback.kinds.base import check_name
from bitsback.models import Model, installed
from bitsback.report.words import size
from bitsback.threads import thread_count
from bitsback.training import measure
from bitsback.training.architecture import AnyArchitecture, candidates, from_model, in_phases, on_a_chain
from bitsback.training.card import card
from bitsback.training.distributed import Group, join
from bitsback.training.entrants import Entrant, Given, entered
from bitsback.training.loop import Run, Schedule, Task, extend, optimise
from bitsback.training.loop import load as load_weights
from bitsback.training.outcome import COUNTED
from bitsback.training.regime import Regime, View
from bitsback.training.result import Point, Result, Row

Image = NDArray[np.uint8]

RACE = 0.06
"""Share of the steps that each candidate trains before the best is chosen."""

TRAINING_SHARE = 0.92
"""Share of the minutes after which measuring begins."""

CHECKS = 50
"""How often a run looks at the held-out images."""

MEASURED_SAMPLES = 6 << 20
"""Samples of held-out images that are coded at the end: JPEG XL takes its time."""

SCORED_SAMPLES = 48 << 20
"""Samples of held-out images that the checks draw from."""

FEW = 100
"""Images to learn from that are worth a warning."""

DECIDED = "decided.json"


class _Decided(msgspec.Struct):
    """What a run decided once and keeps to."""

    version: str
    asked: dict[str, Any]
    data: str
    steps: dict[str, int] = {}
    overhead: float = -1.0


@dataclass
class _Data:
    """The images of a run."""

    collection: Collection
    type: ImageType
    split: Split
    summary: Summary
    notes: list[str] = field(default_factory=list)


def fit(dataset: Any, regime: Regime | None = None, *, folder: Path | None = None, view: View | None = None) -> Result:
    """Train a model on images, and measure it.

    Args:
        dataset: a path or several, as for :meth:`Collection.open`; a :class:`Collection`; or an array of images,
            uint8 (n, height, width) or (n, height, width, channels).
        folder: where the run keeps what it decides, and checkpoints. When called again with the same arguments after a
            kill, it goes on from there. None: nowhere.
        view: is told what goes on.

    Returns:
        The model and its figures. In a group of processes (``torchrun``) only the first one measures.

    Raises:
        ImageError: there is too little to learn from, or nothing that a model of the kind can take. ModelError:
        ``init`` is of another kind than is asked for, or for other images. BitsBackError: the folder holds another run.

    >>> from bitsback.training import Regime, fit
    >>> rows = np.random.default_rng(0).integers(0, 9, (200, 24, 1))
    >>> stripes = (rows + np.arange(24) % 5 * 40).astype(np.uint8)
    >>> result = fit(stripes, Regime(steps=20, kind="context", size="small", init="none"))
    >>> result.model.shape
    (0, 0, 1)
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return fit(dataset, regime, folder=Path(temporary), view=view)
    return _Fit(dataset, regime or Regime(), folder, view or View()).run()


class _Fit:
    def __init__(self, dataset: Any, regime: Regime, folder: Path, view: View) -> None:
        self.began = time.monotonic()
        check_name(regime.name)
        self.regime, self.folder, self.view = regime, folder, view
        wanted = regime.device
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise BitsBackError("there is no CUDA device here")
        self.group: Group = join(self.device)
        self.threads = thread_count(regime.threads)
        torch.set_num_threads(1)  # parts of a batch run side by side instead, which leaves the sums in order
        self.notes: list[str] = []
        self.data = self._look(dataset)
        self.decided = self._decided()

    def run(self) -> Result:
        held_out, names = self._held_out()
        if self.group.leads:
            self._codecs(held_out)
        train = np.ascontiguousarray(self.data.split.train[self.group.rank :: self.group.size])
        self.given = Given(
            lambda numbers: self._load(numbers)[0],
            train,
            held_out,
            self.data.summary.mean_samples,
            self.regime,
            self.threads,
            self.device,
        )
        task, entrant, run = self._race(self._entrants(held_out))
        if not run.reason:
            run = self._train(task, entrant, run)
        self._note(f"{entrant.name}: {run.step:,} steps in {run.seconds / 60:.1f} minutes; {run.reason}")
        self.view.stage("exporting")
        model = entrant.export(task.module, self.regime.name)
        images = held_out
        log = [Point(row.step, row.seconds, row.train, row.held_out) for row in run.log]
        rows: list[Row] = []
        if self.group.leads:
            count = _within([image.size for image in images], MEASURED_SAMPLES)
            images, names = images[:count], names[:count]
            rows, _ = measure.table(model, images, self.threads, lambda what: self.view.stage(f"measuring {what}"))
            self._note(f"it decodes {measure.decoding_speed(model, images):,.1f} MB/s on one core")
            if model.has_latents and len(images) > 1:
                self._note(str(measure.bought(model, images)))
        return Result(
            model=model,
            card=self._card(model, entrant, run, len(images)),
            table=rows,
            break_even=measure.break_even(len(model.data), rows, len(images)) if rows else None,
            held_out=images,
            names=names,
            log=log,
            notes=self.notes,
        )

    # Images ------------------------------------------------------------------------------------------------------

    def _look(self, dataset: Any) -> _Data:
        regime, view = self.regime, self.view
        view.stage("looking at the images")
        if isinstance(dataset, Collection):
            collection = dataset
        elif isinstance(dataset, np.ndarray):
            collection = Collection.of_array(dataset)
        else:
            paths = [dataset] if isinstance(dataset, str | os.PathLike) else list(dataset)
            collection = Collection.open(paths)
        summary = look(collection, seed=regime.seed)
        self._note(summary.words)
        view.stage("splitting off held-out images")
        found = split(
            collection,
            summary.type,
            seed=regime.seed,
            limit=regime.limit,
            threads=self.threads,
            progress=view.advance,
        )
        self._note(
            f"{len(found.train):,} images to learn from, {len(found.held_out):,} held out ({found.how})"
            + (f", {found.twins:,} left out because a held-out one is nearly the same" if found.twins else "")
        )
        if len(found.train) < FEW or len(found.held_out) < FEW // 10:
            self._note(
                f"these are few images: what is learned from {len(found.train):,} may not hold for others, and what "
                f"{len(found.held_out):,} say about them is uncertain; thousands are better"
            )
        for line in tally([*collection.skipped, *found.skipped]):
            self._note(line)
        return _Data(collection, summary.type, found, summary)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.view.note(text)

    def _load(self, numbers: NDArray[np.int64]) -> tuple[list[Image], list[int]]:
        images, kept, _ = load(self.data.collection, numbers, self.data.type, threads=self.threads)
        return images, list(map(int, kept))

    def _held_out(self) -> tuple[list[Image], list[str]]:
        """The held-out images and their names."""
        numbers, samples = self.data.split.held_out, self.data.summary.mean_samples
        numbers = np.random.default_rng(self.regime.seed).permutation(numbers)[: int(SCORED_SAMPLES / samples) + 1]
        images, kept = self._load(numbers)
        return images, [self.data.collection.name(i) for i in kept]

    def _codecs(self, held_out: Sequence[Image]) -> None:
        """Tell what others make of some held-out images, to compare with on the way."""
        self.view.stage("measuring other codecs")
        shown = held_out[: _within([image.size for image in held_out], 1 << 21)]
        samples = sum(image.size for image in shown)
        sizes = peers.file_sizes(shown, threads=self.threads)
        self.view.codecs({name: 8 * size / samples for name, size in sizes.items() if size is not None})

    def _decided(self) -> _Decided:
        """What the folder holds, or a new one."""
        collection, found = self.data.collection, self.data.split
        told = hashlib.sha256()
        for i in [*found.train, *found.held_out]:
            told.update(os.fsencode(collection.name(int(i))) + b"\0")
        asked = {k: v for k, v in asdict(self.regime).items() if k not in ("threads", "device", "memory")}
        decided = _Decided(__version__, asked, told.hexdigest())
        if self.group.leads:
            decided = self._kept(decided)
        kept: _Decided = self.group.share(decided)
        return kept

    def _kept(self, new: _Decided) -> _Decided:
        """What the folder holds, which must fit; or this, put there."""
        path = self.folder / DECIDED
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._keep(new)
            return new
        kept = msgspec.json.decode(path.read_bytes(), type=_Decided)
        changed = [key for key, value in new.asked.items() if kept.asked.get(key) != value]
        if changed in (["steps"], ["minutes"]):
            before, now = (float(one.asked[changed[0]] or 0) for one in (kept, new))
            if now > before > 0:
                self._extend(kept, new, now / before)
                changed = []
        if changed:
            raise BitsBackError(f"{self.folder}: a run with another {changed[0]}; start anew with --force")
        if kept.data != new.data:
            raise BitsBackError(f"{self.folder}: a run on other images; start anew with --force")
        return kept

    def _extend(self, kept: _Decided, new: _Decided, factor: float) -> None:
        """Let a run go on for longer. Checkpoints come first, so that a kill in between does no harm."""
        for checkpoint in sorted(self.folder.glob("*.pt")):
            extend(checkpoint, factor)
        kept.steps = {name: math.ceil(steps * factor) for name, steps in kept.steps.items()}
        kept.asked = new.asked
        self._keep(kept)

    def _keep(self, decided: _Decided) -> None:
        if self.group.leads:
            with atomic.write(self.folder / DECIDED, overwrite=True) as file:
                file.write(msgspec.json.encode(decided))

    # Candidates --------------------------------------------------------------------------------------------------

    def _entrants(self, held_out: Sequence[Image]) -> list[Entrant]:
        """What is to race."""
        regime = self.regime
        if regime.init not in ("auto", "none"):
            if regime.size != "auto":
                raise BitsBackError(f"the size is that of {regime.init}: leave one of the two out")
            chosen = from_model(Model.load(regime.init))
            if regime.kind not in ("auto", chosen.kind):
                raise ModelError(f"{regime.init} is of kind {chosen.kind}, not {regime.kind}")
            if not self._is_asked_for(chosen):
                raise ModelError(f"{regime.init} is not fast: it decodes one sample after the other")
            if not _is_for(chosen, self.data.type, held_out):
                height, width = chosen.size
                size = f", {width} x {height} pixels" if height else ""
                raise ModelError(
                    f"{regime.init} is for other images: {chosen.channels} channels, {chosen.likelihood.levels} "
                    f"levels{size}"
                )
            return [entered(chosen)]
        suitable = list(self._suitable(held_out))
        found = [one for one in suitable if self._is_asked_for(one)]
        if regime.init == "auto" and regime.size == "auto":
            found += self._nearest(held_out)
        if not found:
            limits = "are for images of one size, up to 64 pixels and multiples of 4"
            if any(one.kind == regime.kind for one in suitable):
                limits = "decode one sample after the other: none is fast"
            raise ImageError(f"models of kind {regime.kind} {limits}")
        return list(map(entered, found))

    def _is_asked_for(self, architecture: AnyArchitecture) -> bool:
        return self.regime.kind in ("auto", architecture.kind) and (architecture.parallel or not self.regime.fast)

    def _suitable(self, held_out: Sequence[Image]) -> Iterator[AnyArchitecture]:
        """What may do for such images, from nothing."""
        summary, regime = self.data.summary, self.regime
        wanted = self.data.type.channels, self.data.type.levels
        yield from candidates(*wanted, summary.edge, summary.flat, regime.network)
        shown = held_out[: _within([image.size for image in held_out], 1 << 22)]
        yield from in_phases(*wanted, shown, regime.network)
        for one in on_a_chain(*wanted, held_out, regime.network):
            # Without a context network they would only win for speed
            if one.context or regime.fast or regime.kind != "auto":
                yield one

    def _nearest(self, held_out: Sequence[Image]) -> list[AnyArchitecture]:
        """The installed model that is best on some held-out images as it is; of kinds that were asked for, if any."""
        shown = held_out[: _within([image.size for image in held_out], 1 << 19)]
        found: list[tuple[float, AnyArchitecture]] = []
        for path in installed():
            try:
                model = Model.load(path)
                architecture = from_model(model)
            except BitsBackError:
                continue
            if not (self._is_asked_for(architecture) and _is_for(architecture, self.data.type, held_out)):
                continue
            bits = sum(float(model.elbo_bits(image[None])[0]) for image in shown)
            self.view.note(f"{model.name} as it is: {bits / sum(image.size for image in shown):.4f} bits/dim")
            found.append((bits, architecture))
        return [architecture for _, architecture in sorted(found, key=lambda one: one[0])[:1]]

    def _task(self, entrant: Entrant) -> Task:
        self.view.stage(f"preparing: {entrant.name}")
        return entrant.task(self.given)

    def _schedule(self, entrant: Entrant, steps: int) -> Schedule:
        return replace(entrant.schedule(self.given, steps), check=max(10, min(2000, steps // CHECKS)))

    def _steps(self, entrant: Entrant, task: Task) -> int:
        """How many steps one is to train."""
        if self.regime.steps is not None:
            return self.regime.steps
        if entrant.name not in self.decided.steps:
            seconds = self.regime.minutes * 60 * TRAINING_SHARE - (time.monotonic() - self.began)
            found = max(100, int(max(seconds, 10) / speed(task, self._schedule(entrant, 1), self.threads)))
            self.decided.steps[entrant.name] = int(self.group.agree(float(found))[0])
            self._keep(self.decided)
        return self.decided.steps[entrant.name]

    def _optimise(self, number: int, entrant: Entrant, task: Task, until: int | None, limit: float | None) -> Run:
        name = entrant.name
        schedule = self._schedule(entrant, self._steps(entrant, task))

        return optimise(
            task,
            schedule,
            self.folder / f"{number}.pt",
            until=until,
            limit=limit,
            threads=min(self.threads, schedule.parts) if self.device == "cpu" else 1,
            group=self.group,
            stop=self.view.stopping,
            progress=lambda run, bits: self.view.step(name, run, bits),
            report=lambda row: self.view.check(name, row),
        )

    def _race(self, entrants: Sequence[Entrant]) -> tuple[Task, Entrant, Run]:
        """Let them train for a while; the one in the lead, as it is then: whose file, of about a byte a weight, and
        archive of the collection, or of :data:`COUNTED` images if it has fewer, are smallest together."""
        best: tuple[float, int, Task, Entrant, Run] | None = None
        if len(entrants) > 1:
            self._note(f"a race of {len(entrants)}: each trains for a while, and the best one goes on")
        for number, entrant in enumerate(entrants):
            self.view.race(number + 1 if len(entrants) > 1 else 0, len(entrants))
            task = self._task(entrant)
            schedule = self._schedule(entrant, self._steps(entrant, task))
            until = schedule.check * max(1, round(RACE * schedule.steps / schedule.check))
            if len(entrants) == 1:
                until = schedule.check
            run = self._optimise(number, entrant, task, until, None)
            # A run that was resumed may be further already
            scores = [row.held_out for row in run.log if row.step <= until]
            score = self.group.agree(min(scores, default=float("inf")))[0]
            file = sum(p.numel() for p in task.module.parameters())
            if len(entrants) > 1:
                self._note(f"{entrant.name}: {score:.4f} bits/dim after {until:,} steps, about {size(file)} itself")
            total = score + 8 * file / (self.data.summary.mean_samples * max(self.data.summary.images, COUNTED))
            if best is None or total < best[0]:
                best = total, number, task, entrant, run
            if run.reason and run.step <= until:
                break  # stopped by hand
        self.view.race(0, 0)
        if best is None:
            raise BitsBackError("there is nothing to train")
        _, self.number, task, entrant, run = best
        return task, entrant, run

    def _train(self, task: Task, entrant: Entrant, run: Run) -> Run:
        limit = None
        if self.regime.steps is None:
            if self.decided.overhead < 0:
                self.decided.overhead = time.monotonic() - self.began - run.seconds
                self._keep(self.decided)
            limit = self.regime.minutes * 60 * TRAINING_SHARE - self.decided.overhead
        self.view.stage(f"training: {entrant.name}")
        return self._optimise(self.number, entrant, task, None, limit)

    # What is left behind -----------------------------------------------------------------------------------------

    def _card(self, model: Model, entrant: Entrant, run: Run, measured: int) -> dict[str, object]:
        found, init = self.data.split, entrant.init
        return card(
            model,
            run,
            self.data.summary.words,
            {"images": len(found.train), "held_out": len(found.held_out), "measured": measured},
            architecture=entrant.name,
            init=init and {"name": init.name, "sha256": init.id},
            device=self.device,
            processes=self.group.size,
        )


def _is_for(architecture: AnyArchitecture, wanted: ImageType, images: Sequence[Image]) -> bool:
    fits = (architecture.channels, architecture.likelihood.levels) == (wanted.channels, wanted.levels)
    return fits and (architecture.size == (0, 0) or {image.shape[:2] for image in images} == {architecture.size})


def speed(task: Task, schedule: Schedule, threads: int) -> float:
    """Seconds that a step takes, about; the task is left as it was."""
    kept = {name: p.detach().clone() for name, p in task.module.named_parameters()}
    endless = replace(schedule, steps=1 << 30, check=1 << 30)
    optimise(task, endless, until=8, threads=threads)  # compiles, and touches memory for the first time
    steps, seconds = 16, 0.0
    while seconds < 1 and steps < 1024:
        steps *= 2
        seconds = optimise(task, endless, until=steps, threads=threads).seconds
    load_weights(task.module, kept)
    return max(seconds / steps, 1e-5)


def _within(sizes: Sequence[int], most: int) -> int:
    """How many of the first images hold ``most`` samples; at least one."""
    total, count = 0, 0
    for samples in sizes:
        total += samples
        if total > most and count:
            break
        count += 1
    return count
