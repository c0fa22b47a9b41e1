import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.errors import BitsBackError, ImageError, ModelError  # noqa: E402
from bitsback.models import Model  # noqa: E402
from bitsback.training import Regime, Result, View, fit  # noqa: E402
from bitsback.training.loop import Run  # noqa: E402
from bitsback.training.regime import Kind  # noqa: E402
from helpers import tiny_model_file  # noqa: E402
from phases import phases_file  # noqa: E402

QUICK = Regime(steps=60, kind="context", size="small", init="none", name="quick")


def checks(count: int, channels: int, seed: int = 0) -> np.ndarray:
    """Chequered images in two random colours: much to learn, and little of it needed."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        pattern = np.add.outer(np.arange(20) // rng.integers(2, 6), np.arange(24) // rng.integers(2, 6)) % 2
        pattern = np.roll(pattern, rng.integers(0, 9, 2), (0, 1))
        made.append(rng.integers(0, 256, (2, channels), np.uint8)[pattern])
    return np.stack(made)


@pytest.fixture(scope="module")
def grey() -> Result:
    return fit(checks(300, 1), QUICK)


def test_it_gives_a_model_and_its_figures(grey: Result) -> None:
    assert Model.from_bytes(grey.model.data).id == grey.card["sha256"]
    assert grey.model.accepts((20, 24, 1), "uint8")
    assert grey.table[0].kind == "new" and grey.table[0].name == "quick"
    names = {row.name.partition(" (")[0] for row in grey.table}
    assert {"quick", "bitsback without it", "PNG", "WebP"} <= names
    assert [row.kind for row in grey.table[:2]] == ["new", "shipped"]
    assert [row.bytes for row in grey.table[2:]] == sorted(row.bytes for row in grey.table[2:])
    samples = sum(image.size for image in grey.held_out)
    assert all(row.bits_per_dim == 8 * row.bytes / samples for row in grey.table)
    assert 15 < len(grey.held_out) == len(grey.names) < 50
    assert grey.log[-1].step == 60 and grey.log[-1].held_out < grey.log[0].held_out
    assert grey.table[0].bytes < min(row.bytes for row in grey.table if row.kind == "codec")
    assert not any("few" in note for note in grey.notes)


def test_the_same_seed_gives_the_same_model(grey: Result) -> None:
    assert fit(checks(300, 1), dataclasses.replace(QUICK, threads=1)).model.id == grey.model.id
    assert fit(checks(300, 1), dataclasses.replace(QUICK, seed=1)).model.id != grey.model.id


def test_sixteen_bits_that_need_eight_are_as_eight(grey: Result) -> None:
    """``compress`` offers a set of such to models for 8 bits; so that is what such images make."""
    assert fit(checks(300, 1).astype(np.uint16), QUICK).model.id == grey.model.id
    with pytest.raises(ImageError, match="16-bit grey images"):
        fit(checks(300, 1).astype(np.uint16) * 257, QUICK)


class Killed(Exception):
    pass


class Killer(View):
    def __init__(self, *steps: int) -> None:
        self.left, self.steps = list(steps), 0

    def step(self, name: str, run: Run, bits: float) -> None:
        self.steps += 1
        if self.steps in self.left:
            raise Killed


def test_a_run_that_was_killed_goes_on_to_the_same_model(grey: Result, tmp_path: Path) -> None:
    killer = Killer(2, 9, 60)
    for _ in range(3):
        with pytest.raises(Killed):
            fit(checks(300, 1), QUICK, folder=tmp_path, view=killer)
    assert fit(checks(300, 1), QUICK, folder=tmp_path, view=killer).model.id == grey.model.id


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(checks(300, 1), QUICK, folder=tmp_path, view=Killer(2))
    with pytest.raises(BitsBackError, match="another seed"):
        fit(checks(300, 1), dataclasses.replace(QUICK, seed=3), folder=tmp_path)
    with pytest.raises(BitsBackError, match="other images"):
        fit(checks(301, 1), QUICK, folder=tmp_path)


def test_a_run_can_be_given_more_steps(tmp_path: Path) -> None:
    few = dataclasses.replace(QUICK, steps=20)
    with pytest.raises(Killed):
        fit(checks(300, 1), few, folder=tmp_path, view=Killer(15))
    with pytest.raises(BitsBackError, match="another steps"):
        fit(checks(300, 1), dataclasses.replace(few, steps=10), folder=tmp_path)
    result = fit(checks(300, 1), dataclasses.replace(few, steps=40), folder=tmp_path)
    assert result.log[0].step == 10 and result.log[-1].step == 40
    assert result.card["training"]["ended"] == "all steps were done"


def test_few_images_are_warned_of() -> None:
    result = fit(np.repeat(np.repeat(checks(5, 1), 8, 1), 8, 2), dataclasses.replace(QUICK, steps=10))
    assert any(note.startswith("these are few images: what is learned from 4") for note in result.notes)


class Stopping(View):
    def __init__(self, after: int) -> None:
        self.asked, self.after = 0, after
        self.races: list[int] = []

    def race(self, number: int, of: int) -> None:
        self.races.append(number)

    def step(self, name: str, run: Run, bits: float) -> None:
        self.asked += 1
        assert run.step <= run.until

    def stopping(self) -> bool:
        return self.asked >= self.after


def test_sizes_are_what_was_asked_for(grey: Result, tmp_path: Path) -> None:
    """A model to start from has its own."""
    path = tmp_path / "quick.bbm"
    path.write_bytes(grey.model.data)
    with pytest.raises(BitsBackError, match="the size is that of"):
        fit(checks(300, 1), dataclasses.replace(QUICK, init=str(path)))
    view = Stopping(3)
    result = fit(checks(300, 1), dataclasses.replace(QUICK, init="auto", steps=100), view=view)
    assert not any(" as it is: " in note for note in result.notes)
    assert view.races[0] == 1 and view.races[-1] == 0
    assert result.model.config.context.hidden == grey.model.config.context.hidden


def test_stopping_exports_the_best_so_far() -> None:
    result = fit(checks(300, 3), dataclasses.replace(QUICK, steps=2000), view=Stopping(12))
    assert result.card["training"]["done"] == 12 and result.card["training"]["ended"] == "it was stopped"
    assert any("it was stopped" in note for note in result.notes)


def test_a_model_can_be_trained_further(grey: Result, tmp_path: Path) -> None:
    path = tmp_path / "quick.bbm"
    path.write_bytes(grey.model.data)
    more = fit(checks(300, 1), dataclasses.replace(QUICK, init=str(path), steps=30, size="auto"))
    assert more.log[0].held_out < grey.log[0].held_out
    assert more.card["training"]["init"] == {"name": "quick", "sha256": grey.model.id}
    with pytest.raises(ModelError, match="for other images: 1 channels"):
        fit(checks(300, 3), dataclasses.replace(QUICK, init=str(path), size="auto"))
    with pytest.raises(ModelError, match=r"quick\.bbm is of kind context, not phases"):
        fit(checks(300, 1), dataclasses.replace(QUICK, init=str(path), size="auto", kind="phases"))
    with pytest.raises(ModelError, match=r"quick\.bbm is not fast: it decodes one sample after the other"):
        fit(checks(300, 1), dataclasses.replace(QUICK, init=str(path), size="auto", fast=True))


@pytest.mark.parametrize(("kind", "latents"), [("phases", 0), ("phases", 5), ("vae", 6), ("ladder", 6)])
def test_so_can_one_of_any_kind(kind: Kind, latents: int, tmp_path: Path) -> None:
    data = phases_file(latents=latents) if kind == "phases" else tiny_model_file(above=(5, 4) * (kind == "ladder"))
    path, start = tmp_path / "start.bbm", Model.from_bytes(data)
    path.write_bytes(data)
    height, width = start.shape[0] or 10, start.shape[1] or 13
    images = np.random.default_rng(0).integers(0, 256, (120_000 // (height * width), height, width), np.uint8)
    more = Regime(steps=20, init=str(path), kind=kind, fast=True, name="more")
    result = fit(images, more)
    assert result.card["training"]["init"] == {"name": start.name, "sha256": start.id}
    assert result.model.shape == start.shape and result.model.config.facts() == start.config.facts()
    assert result.log[-1].held_out < result.log[0].held_out
    if start.shape[0]:
        with pytest.raises(ModelError, match=f"is for other images: 1 channels, 256 levels, {width} x {height} pixels"):
            fit(checks(300, 1), more)


def test_fast_models_are_those_that_decode_many_samples_at_once() -> None:
    result = fit(checks(300, 1), dataclasses.replace(QUICK, steps=20, kind="auto", fast=True))
    raced = [note.partition(": ")[0] for note in result.notes if "bits/dim after" in note]
    assert len(raced) == 4
    assert {name.partition(" ")[0] for name in raced} == {"phases", "vae", "ladder"}
    assert not any("context" in name for name in raced)
    with pytest.raises(ImageError, match="models of kind context decode one sample after the other"):
        fit(checks(300, 1), dataclasses.replace(QUICK, fast=True))
    with pytest.raises(ImageError, match="models of kind vae are for images of one size"):
        fit(checks(300, 1)[:, 1:], dataclasses.replace(QUICK, kind="vae", fast=True))


@pytest.mark.parametrize("counted", [1, 10**9])
def test_a_race_counts_files(counted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few images have to pay for it, a large model must be better by more."""
    monkeypatch.setattr("bitsback.training.run.COUNTED", counted)
    images = checks(300, 1)
    result = fit(images, dataclasses.replace(QUICK, steps=20, kind="auto", size="auto"))
    raced = {}
    for note in result.notes:
        if found := re.fullmatch(r"(.+): (\S+) bits/dim after .* steps, about (\S+) kB itself", note):
            name, bits, file = found.groups()
            raced[name] = float(bits) + 8 * 1000 * float(file) / (images[0].size * max(len(images), counted))
    winner = result.card["training"]["architecture"]
    assert len(raced) > 4 and raced[winner] == pytest.approx(min(raced.values()), rel=0.002)


def test_a_run_keeps_to_being_fast(tmp_path: Path) -> None:
    phases = dataclasses.replace(QUICK, kind="phases")
    with pytest.raises(Killed):
        fit(checks(300, 1), phases, folder=tmp_path, view=Killer(1))
    with pytest.raises(BitsBackError, match="another fast"):
        fit(checks(300, 1), dataclasses.replace(phases, fast=True), folder=tmp_path)


@pytest.mark.parametrize("channels", [2, 4])
def test_images_with_alpha(channels: int) -> None:
    images = checks(120, channels)
    result = fit(images, dataclasses.replace(QUICK, steps=20))
    assert result.model.shape == (0, 0, channels)
    assert np.array_equal(result.model.decode(result.model.encode(images[:5]), 5, images.shape[1:]), images[:5])


def test_two_valued_images() -> None:
    images = checks(300, 1) > 128
    result = fit(images, dataclasses.replace(QUICK, steps=40))
    assert result.model.levels == 2


def test_more_images_than_memory(grey: Result) -> None:
    result = fit(checks(300, 1), dataclasses.replace(QUICK, memory=200_000))
    assert result.model.id != grey.model.id
    assert result.log[-1].held_out < result.log[0].held_out


def test_too_little_is_said_to_be_so() -> None:
    with pytest.raises(ImageError, match="too little to learn from: 3 images"):
        fit(checks(3, 1), QUICK)


def test_a_name_that_no_model_may_have_is_refused_at_once() -> None:
    with pytest.raises(ModelError, match="1 to 100 characters"):
        fit(checks(3, 1), dataclasses.replace(QUICK, name="x" * 101))
