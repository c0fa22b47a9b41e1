from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import DTypeLike

from bitsback.archive.choice import (
    EFFORTS,
    SLACK,
    Candidate,
    Choice,
    Effort,
    choose,
    choose_by_block,
    sample,
    stretches,
)
from bitsback.archive.front import Levels
from bitsback.errors import BitsBackError
from bitsback.kinds.base import Coder

Images = np.ndarray


@dataclass
class Costing:
    """A coder that takes so many bytes for 100 samples, and knows what it was asked to code."""

    name: str
    percent: float
    shape: tuple[int, int, int] | None = None
    seen: list[tuple[int, ...]] = field(default_factory=list)
    learns: bool = False
    starts: bool = False
    tag: int = 9
    pace: int = 1 << 18

    @property
    def id(self) -> str:
        return self.name

    def accepts(self, shape: tuple[int, int, int], dtype: DTypeLike, levels: int | None = None) -> bool:
        return self.shape in (None, shape)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        self.seen.append(images.shape)
        return bytes(int(images.size * self.percent / 100))


class Learning(Costing):
    """Getting better all the time: so many per cent of what there is, and so many bytes."""

    def __init__(self, percent: float, start: int) -> None:
        super().__init__("learning", percent, learns=True)
        self.start = start

    def encode(self, images: Images, threads: int = 1) -> bytes:
        return super().encode(images) + bytes(self.start)


@dataclass
class Looking(Costing):
    """Says beforehand how many per cent of the samples it would take."""

    estimate_percent: float = 0

    def __init__(self, name: str, percent: float, estimate: float) -> None:
        super().__init__(name, percent)
        self.estimate_percent = estimate

    def estimate(self, lots: Sequence[Images], closely: bool = False) -> int:
        percent = 1.02 * self.percent if closely else self.estimate_percent
        return int(sum(images.size for images in lots) * percent / 100)


def pick(images: Images, *coders: Any, effort: Effort = "normal", blocks: int = 1) -> Choice:
    """What is chosen, where all would cut the images into so many blocks."""

    def cut(candidate: Candidate) -> Sequence[Sequence[Images]]:
        parts = round(images.size / candidate.block) if candidate.block else blocks
        return [[images]] if parts <= 1 else [[part] for part in np.array_split(images, parts)]

    return choose([images], [Candidate(coder) for coder in cast("list[Coder]", coders)], cut, effort)


def names(choice: Choice) -> list[str]:
    return [one.coder.name for one in choice.ranking]


def coded(choice: Choice) -> set[str]:
    """Which coders have coded everything."""
    return {key[1] for key, sizes in choice.sizes.items() if choice.samples in sizes}


def photo(count: int = 1, height: int = 600, width: int = 800) -> Images:
    rng = np.random.default_rng(0)
    return np.cumsum(rng.integers(-3, 4, (count, height, width, 3)), axis=2).astype(np.uint8)


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_smallest_comes_first_and_codes_little_to_get_there(effort: Effort) -> None:
    images = photo()
    coders = [Costing("bad", 60), Costing("best", 40), Costing("worse", 50)]
    choice = pick(images, *coders, effort=effort)
    assert names(choice) == ["best", "worse", "bad"]
    assert choice.known == {}
    assert all(sum(int(np.prod(shape)) for shape in coder.seen) < images.size // 8 for coder in coders)
    assert choice.reason == "smallest, before worse (+25.0 %), bad (+50.0 %)"


def test_a_later_round_is_for_those_close_to_the_best() -> None:
    near, best, far = Costing("near", 42), Costing("best", 40), Costing("far", 50)
    assert names(pick(photo(), near, best, far)) == ["best", "near", "far"]
    assert [len(coder.seen) for coder in (near, best, far)] == [2, 2, 1]
    assert names(pick(photo(), near, best, far, effort="max")) == ["best", "near", "far"]
    assert [len(coder.seen) for coder in (near, best, far)] == [5, 5, 2]  # and those that are close, a block


def test_a_learner_is_judged_by_what_it_would_come_to() -> None:
    """It costs 50 %, and 1,000 bytes to begin with."""
    images = photo()
    for percent, best, trials in ((52, "learning", 2), (50.5, "learning", 4), (48, "model", 3), (45, "model", 2)):
        model, learning = Costing("model", percent), Learning(50, 1000)
        assert names(pick(images, model, learning))[0] == best
        assert len(model.seen) == len(learning.seen) == trials
    for percent, best, trials in ((52, "learning", 2), (50.2, "model", 1)):  # one that begins badly is out sooner
        fast = Learning(50, 1000)
        assert names(pick(images, Costing("model", percent), fast, effort="fast"))[0] == best
        assert len(fast.seen) == trials


def test_few_images_are_coded_once() -> None:
    images = photo(2, 40, 50)
    coders = [Costing("one", 40), Costing("two", 41), Learning(39, 500)]
    choice = pick(images, *coders)
    assert [coder.seen for coder in coders] == [[images.shape]] * 3
    assert coded(choice) == {"one", "two", "learning"}
    assert {key[1]: list(payloads) for key, payloads in choice.known.items()} == {
        "one": [0], "two": [0], "learning": [0]
    }  # fmt: skip
    assert pick(images, *coders[:2], blocks=2).known == {}


def test_a_single_coder_is_not_tried() -> None:
    coder = Costing("one", 40)
    choice = pick(photo(), coder)
    assert [one.coder for one in choice.ranking] == [coder]
    assert coder.seen == [] and choice.reason == ""


def test_a_coder_that_fails_is_left_out() -> None:
    class Failing(Costing):
        def encode(self, images: Images, threads: int = 1) -> bytes:
            raise BitsBackError("no")

    choice = pick(photo(), Failing("bad", 1), Costing("good", 40))
    assert names(choice) == ["good"]
    assert choice.warnings == ["bad was not used: no"]
    assert pick(photo(), Failing("bad", 1), Failing("worse", 1)).ranking == []
    offers = [Candidate(cast(Coder, one)) for one in (Failing("bad", 1), Costing("dear", 60), Costing("good", 40))]
    choice = choose_by_block([photo()], offers, lambda candidate: [[photo()]])
    assert names(choice) == ["good", "dear"] and choice.warnings == ["bad was not used: no"]


def test_blank_samples_put_nobody_out() -> None:
    class Constant(Costing):
        def encode(self, images: Images, threads: int = 1) -> bytes:
            super().encode(images)
            return bytes(int(self.percent))

    coders = [Constant("one", 3), Constant("two", 3 + SLACK)]
    pick(photo(), *coders)
    assert [len(coder.seen) for coder in coders] == [2, 2]


def test_who_learns_from_afar_looks_at_everything() -> None:
    """The floor codes nothing unless it may win, and everything if it may; so then does the best of the others. What it
    would take it says roughly first, and more closely if that is hopeful."""
    images = photo(4, 100, 200)
    for estimate, real, best in ((52, 39, "floor"), (52, 41, "model"), (52, 45, "model"), (54, 1, "model")):
        model, floor = Costing("model", 40), Looking("floor", real, estimate=estimate)
        choice = pick(images, model, floor, blocks=2)
        assert names(choice)[0] == best
        known = {key[1]: sorted(payloads) for key, payloads in choice.known.items()}
        assert known == {
            name: [0, 1] for name, codes in (("model", estimate < 54), ("floor", estimate < 54 and real < 45)) if codes
        }
        assert len(floor.seen) == len(known.get("floor", []))
        assert choice.used == choice.spent.get(choice.ranking[0].key, 0)


def test_blocks_are_made_larger_for_one_that_learns_much() -> None:
    images = photo(64, 128, 128)
    block = images.size // 8
    for start, doublings in ((30_000, 3), (10_000, 2), (5_000, 1), (1, 0)):
        choice = pick(images, Learning(40, start), Costing("model", 240), blocks=8)
        larger = block << doublings if doublings else 0
        assert (choice.ranking[0].coder.name, choice.ranking[0].block) == ("learning", larger)
    begins = Learning(40, 30_000)
    begins.learns, begins.starts = False, True
    assert pick(images, begins, Costing("model", 240), blocks=8).ranking[0].block == block << 3
    assert pick(images, Costing("slow", 40), Costing("model", 60), blocks=8).ranking[0].block == 0


def test_blocks_that_were_coded_to_find_out_are_not_coded_again() -> None:
    for shape, known in (((64, 128, 128), [1]), ((4, 512, 512), [1, 2])):  # halves of blocks, or pairs of them
        images = photo(*shape)
        choice = pick(images, Learning(40, 1), Costing("model", 240), blocks=4)
        assert {key[1]: sorted(payloads) for key, payloads in choice.known.items()} == {"learning": known}
    images = photo(2, 512, 512)
    choice = pick(images, Learning(40, 90_000), Costing("model", 840), blocks=2)
    assert sorted(choice.known[choice.ranking[0].key]) == [0] and choice.ranking[0].block == images.size


def test_fronts_that_change_nothing_are_coded_once() -> None:
    coder = Costing("one", 40)
    offers = [Candidate(cast("Coder", coder), front) for front in ((), (Levels((tuple(range(256)),)),))]
    choice = choose([photo()], offers, lambda candidate: [[photo()]])
    assert len(coder.seen) == 2 and len(choice.ranking) == 2


def test_a_front_is_tried_with_each_coder() -> None:
    """Ranks are smaller numbers, which this one codes in fewer bytes."""

    class Largest(Costing):
        def encode(self, images: Images, threads: int = 1) -> bytes:
            return bytes(int(images.max()))

    images = photo(1, 40, 50) % 8 * 20
    ranks = (Levels((tuple(range(0, 160, 20)),)),)
    offers = [Candidate(cast("Coder", Largest("one", 1)), front) for front in ((), ranks)]
    choice = choose([images], offers, lambda candidate: [[images]])
    assert [one.front for one in choice.ranking] == [ranks, ()]
    assert choice.reason == "smallest, before one (+1900.0 %)" and choice.ranking[0].name == "one of ranks of levels"


def test_stretches_are_images_that_follow_one_another() -> None:
    images = np.arange(100, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 8, 8, 1), np.uint8)
    (shown,) = stretches([images], 20 * 64, [])
    assert shown[:, 0, 0, 0].tolist() == [n for first in (11, 35, 59, 83) for n in range(first, first + 5)]
    assert stretches([images], 64 * 90, []) == [images]
    (middle,) = stretches([photo(1)], 1 << 16, [Candidate(cast("Coder", Costing("any", 1)))])
    assert np.array_equal(middle, photo(1)[:, 286:313])
    (whole,) = stretches([photo(3)], 1 << 16, [Candidate(cast("Coder", Costing("one", 1, (600, 800, 3))))])
    assert whole.shape == (1, 600, 800, 3)


def sampled(images: Images, samples: int, *coders: Any) -> Images:
    (shown,) = sample([images], samples, [Candidate(coder) for coder in cast("list[Coder]", coders)])
    return shown


@pytest.mark.parametrize("shape", [(1, 600, 800, 3), (3, 600, 800, 3), (1, 2, 90000, 1), (40, 9000, 3, 1)])
def test_samples_of_large_images_are_crops(shape: tuple[int, int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    shown = sampled(images, 1 << 14, Costing("any", 1))
    assert len(shown) == 4
    assert 0.9 * (1 << 14) < shown.size <= 1 << 14
    assert len({crop.tobytes() for crop in shown}) == 4
    assert shown[0].tobytes() in {
        images[n, y : y + shown.shape[1], x : x + shown.shape[2]].tobytes()
        for n in range(shape[0])
        for y in {(shape[1] - shown.shape[1]) * i // 3 for i in range(4)}
        for x in {(shape[2] - shown.shape[2]) * i // 3 for i in range(4)}
    }


def test_crops_find_what_there_is_on_a_blank_page() -> None:
    images = np.zeros((1, 1000, 1000, 1), np.uint8)
    images[:, 640:680, 640:680] = np.random.default_rng(0).integers(0, 256, (40, 40, 1))
    assert sampled(images, 1 << 14, Costing("any", 1)).any()


def test_samples_of_small_images_are_whole() -> None:
    images = photo(1000, 32, 32)
    shown = sampled(images, 1 << 15, Costing("any", 1))
    assert np.array_equal(shown, images[np.arange(10) * 100])
    assert sampled(images[:20], 1 << 15).shape == images[:20].shape


def test_a_model_of_one_size_gets_whole_images() -> None:
    images = photo(3)
    shown = sampled(images, 1 << 15, Costing("any", 1), Costing("one size", 1, images.shape[1:]))
    assert np.array_equal(shown, images[:1])


@dataclass
class Partial(Costing):
    """Takes a twentieth less where the first sample is odd, if it is the odd one, or even, if it is not."""

    odd: bool = False

    def encode(self, images: Images, threads: int = 1) -> bytes:
        better = bool(images.flat[0] & 1) == self.odd
        payload = super().encode(images)
        return payload[: len(payload) * 19 // 20] if better else payload


def test_with_much_effort_each_block_is_by_the_one_who_is_better_there() -> None:
    images = np.arange(8).repeat(60 * 80 * 3).astype(np.uint8).reshape(8, 60, 80, 3)  # a block each
    for effort in EFFORTS:
        choice = pick(images, Partial("even", 40), Partial("odd", 41, odd=True), effort=effort, blocks=8)
        found = [choice.block(number, 8) for number in range(8)]
        if effort == "max":
            assert [one.coder.name for one, _ in found] == ["even", "odd"] * 4
            assert all(known is not None for _, known in found)
        else:
            assert len({one.coder.name for one, _ in found}) == 1
