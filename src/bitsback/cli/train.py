"""``bitsback train``."""

import json
import shutil
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from bitsback.cli import options
from bitsback.cli.output import is_quiet, say, write_json
from bitsback.errors import BitsBackError, OutputExistsError

SUFFIX = ".bbm"

WITHOUT_TORCH = ("jpeg",)
"""Kinds that learn by counting."""

ONE_BY_ONE = ("context",)
"""Kinds that decode one sample after the other."""


@click.command("train")
@click.argument("inputs", type=options.FILE, nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o", "--output", required=True, type=options.FILE, metavar="MODEL", help="The model file to write, e.g. mine.bbm."
)
@click.option("--minutes", type=click.FloatRange(min=0.1), default=20.0, show_default=True, metavar="N",
              help="For everything, from the first look to the report.")  # fmt: skip
@click.option("--steps", type=options.Whole(1), help="Train so many steps, however long they take: repeatable.")
@click.option("--kind", type=click.Choice(["auto", "context", "phases", "vae", "ladder", "jpeg"]), default="auto",
              show_default=True,
              help="Of the model. auto: jpeg where most inputs are JPEG files, else whichever is smaller; phases: "
                   "several times as fast to decode; vae: latents on a chain, for images of one small size; "
                   "ladder: three levels of them; jpeg: for JPEG files, of their coefficients.")  # fmt: skip
@click.option("--fast", is_flag=True,
              help="A model that decodes many samples at once: phases; or vae or ladder, but without a context "
                   "network.")  # fmt: skip
@click.option("--size", type=click.Choice(["auto", "small", "medium", "large"]), default="auto", show_default=True,
              help="Of the network. Larger is slower and compresses better. auto: medium, or --init's.")  # fmt: skip
@click.option("--init", default="auto", type=options.MODEL, metavar="MODEL", show_default=True,
              help="Model to start from, of any kind but jpeg; auto: the nearest installed one, if it wins and there "
              "is no --size; none: none.")  # fmt: skip
@click.option("--seed", type=options.Whole(0), default=0, show_default=True, help="Of all that is left to chance.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--resume", is_flag=True,
              help="Go on with a run that was stopped or killed; with more --minutes, for longer.")  # fmt: skip
@options.force
@options.threads
@options.quiet
@options.no_progress
@options.as_json
def train_command(
    inputs: tuple[str, ...],
    output: str,
    minutes: float,
    steps: int | None,
    kind: Any,
    fast: bool,
    size: Any,
    init: str,
    seed: int,
    device: str,
    resume: bool,
    force: bool,
    threads: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Train a model on your own images, and measure what it saves.

    INPUT: folders or files of images, arrays (.npy, .npz), tar shards. Some images are held out and never trained on;
    the table at the end says what the model makes of those, next to PNG, WebP and JPEG XL. Beside MODEL come its card
    (.json) and a report (.html). Ctrl-C stops the training and keeps the best model so far; --resume goes on.

    Where most of the files are JPEG files, the model is for their coefficients: compress takes JPEG files apart into
    these, and no model of pixels is of use to it. That takes no torch, and --steps, --fast, --size, --init and --device
    mean nothing; held-out files are compared with JPEG XL's transcoding and Lepton, and there is no report.

    With several processes: torchrun --nproc-per-node 2 -m bitsback train ...
    """
    path = Path(output)
    if path.suffix != SUFFIX:
        raise click.UsageError(f"the model file's name must end in {SUFFIX}")
    if fast and kind in ONE_BY_ONE:
        raise click.UsageError(f"models of kind {kind} decode one sample after the other: leave out --fast or --kind")
    outputs = [path, path.with_suffix(".json"), path.with_suffix(".html")]
    folder = path.with_name(path.name + ".run")
    if not force and not resume:
        for one in outputs:
            if one.exists():
                raise OutputExistsError(f"{one} is already there; --force overwrites it")
        if folder.exists():
            raise OutputExistsError(f"{folder} holds a run that was broken off: --resume goes on, --force starts anew")
    if resume and not folder.exists():
        raise BitsBackError(f"there is no run to resume: no {folder}")
    jpegs, others = _jpegs(inputs)
    if kind in WITHOUT_TORCH or (kind == "auto" and len(jpegs) > others):
        _train_on_coefficients(jpegs, path, minutes, threads, as_json)
        return 0
    try:
        from bitsback.training import Regime, fit
        from bitsback.training.distributed import join, leave

        import_module("matplotlib")  # for the report at the end: better missed now than then
    except ModuleNotFoundError as error:
        raise BitsBackError(f"training needs {error.name}: pip install 'bitsback[train]'") from None

    group = join(device)
    if force and not resume and folder.exists() and group.leads:
        shutil.rmtree(folder)
    group.agree(0.0)
    regime = Regime(minutes=minutes, steps=steps, kind=kind, fast=fast, size=size, init=init, seed=seed,
                        device=device, threads=threads, name=path.stem)  # fmt: skip
    if group.leads and jpegs:
        say(
            f"{len(jpegs):,} of these are JPEG files: compress codes them by their coefficients, byte for byte, and "
            "uses no model of pixels. What is learned of their pixels helps with other files of such images"
        )
    with _view(leads=group.leads, drawn=not no_progress) as view:
        result = fit(inputs, regime, folder=folder, view=view)
        stopped = view.stopping()
    if group.leads:
        _write(outputs[0], result.model.data)  # first of all: nothing that follows may cost the model
        _write(outputs[1], (json.dumps(result.card, indent=1) + "\n").encode())
        from bitsback.training.report import html, text_table

        _write(outputs[2], html(result).encode())
        if stopped:
            say(f"stopped early; {folder} is kept for --resume")
        else:
            shutil.rmtree(folder)
        if as_json:
            write_json(result.card)
        else:
            click.echo(text_table(result))
            say(f"{path}: {len(result.model.data):,} bytes; report: {outputs[2]}")
            say(f"use it: bitsback compress FOLDER --model {path}, or bitsback models --add {path}")
    leave()
    return 0


def _jpegs(inputs: tuple[str, ...]) -> tuple[list[Path], int]:
    """The files that claim to be JPEG files; and how many others claim to be of a known format."""
    from bitsback.files import claimed

    found, others = [], 0
    for path in map(Path, inputs):
        for file in (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]:
            claim = claimed(file.suffix)
            if claim == "jpeg":
                found.append(file)
            others += claim not in (None, "jpeg")
    return found, others


def _train_on_coefficients(jpegs: list[Path], path: Path, minutes: float, threads: int, as_json: bool) -> None:
    from bitsback.training.coefficients import fit

    done = fit(jpegs, path.stem, minutes, say, max(threads, 1))
    _write(path, done.model.data)
    _write(path.with_suffix(".json"), (json.dumps(done.card, indent=1) + "\n").encode())
    if as_json:
        write_json(done.card)
        return
    whole = done.table["files"]
    for name, size in done.table.items():
        click.echo(f"{name:<24} {size:>14,} {size / whole:>7.4f}")
    plain, own = (done.table[name] for name in ("bitsback", f"bitsback, {done.model.name}"))
    say(
        f"{path}: {len(done.model.data):,} bytes, which pay for themselves "
        + (f"from {len(done.model.data) * whole // (plain - own):,} bytes of such files on" if own < plain else "never")
    )
    say(f"use it: bitsback compress FOLDER --model {path}")


def _write(path: Path, data: bytes) -> None:
    from bitsback.archive import atomic

    with atomic.write(path, overwrite=True) as file:
        file.write(data)


class _Ticks:
    """How fast steps are now: over the last half minute of training."""

    WINDOW = 30.0

    def __init__(self, name: str) -> None:
        self.name = name
        self._seen: deque[tuple[int, float]] = deque()

    def add(self, step: int, seconds: float) -> float:
        """Note that a step is done after so many seconds; steps a second, 0 if it is not known yet."""
        self._seen.append((step, seconds))
        while len(self._seen) > 2 and seconds - self._seen[1][1] >= self.WINDOW:
            self._seen.popleft()
        first, began = self._seen[0]
        return (step - first) / (seconds - began) if seconds > began else 0.0


def _minutes(seconds: float) -> str:
    """For people.

    >>> _minutes(59), _minutes(3700)
    ('0:59', '1:01:40')
    """
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


@contextmanager
def _view(leads: bool, drawn: bool) -> Iterator[Any]:
    """What shows the run: a live line on a terminal, plain lines elsewhere; and Ctrl-C asks it to stop."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from bitsback.training import View

    shown = leads and not is_quiet()
    live = shown and drawn and sys.stderr.isatty()
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[bits]}"),
    )  # fmt: skip
    bar = Progress(*columns, console=console, disable=not live)

    class Shown(View):
        asked = False
        best = ""
        lowest = float("inf")
        task: Any = None
        lap = ""
        ticks: Any = None

        def race(self, number: int, of: int) -> None:
            self.lap = f"race, {number} of {of}: " if number else ""

        def stage(self, what: str) -> None:
            what = self.lap + what
            if self.task is not None:
                bar.remove_task(self.task)
            self.task = bar.add_task(what, total=None, rate="", bits="")
            if shown and not live:
                say(what)

        def advance(self, done: int, total: int) -> None:
            bar.update(self.task, completed=done, total=total)

        def note(self, text: str) -> None:
            self._line(text)

        def codecs(self, rates: dict[str, float]) -> None:
            if rates:
                name = min(rates, key=lambda name: rates[name])
                self.lowest = rates[name]
                self.best = f"{name} {self.lowest:.4f}"
                self._line("; ".join(f"{name} {rate:.4f}" for name, rate in rates.items()) + " bits/dim, held out")

        def step(self, name: str, run: Any, bits: float) -> None:
            if self.ticks is None or self.ticks.name != name:
                self.ticks = _Ticks(name)
            rate = self.ticks.add(run.step, run.seconds)
            if live:
                left = f"{_minutes((run.until - run.step) / rate)} left" if rate else ""
                bar.update(self.task, completed=run.step, total=run.until, rate=f"{rate:.1f}/s  {left}")

        def check(self, name: str, row: Any) -> None:
            against = f" ({row.held_out / self.lowest - 1:+.1%} against {self.best})" if self.best else ""
            if live:
                bar.update(self.task, bits=f"{row.held_out:.4f} bits/dim{against}")
            else:
                where = f"{self.lap}{name}, step {row.step:,}, {row.seconds:.0f} s"
                self._line(f"{where}: learning {row.train:.4f}, held out {row.held_out:.4f}{against}")

        def stopping(self) -> bool:
            return self.asked

        def _line(self, text: str) -> None:
            if live:
                bar.console.print(text, markup=False)
            elif shown:
                say(text)

    view = Shown()

    def ask(number: int, frame: Any) -> None:
        view.asked = True
        signal.signal(signal.SIGINT, before)  # the next one stops at once
        say("stopping: the best model so far will be written (Ctrl-C again: leave at once)")

    before = signal.getsignal(signal.SIGINT)
    if before != signal.SIG_IGN:
        signal.signal(signal.SIGINT, ask)
    try:
        with bar:
            yield view
    finally:
        signal.signal(signal.SIGINT, before)
