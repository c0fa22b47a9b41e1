from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import DTypeLike

from bitsback.archive.choice import EFFORTS, SLACK, Candidate, Choice, Effort, choose, sample
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
    tag: int = 9

    @property
    def id(self) -> str:
        return self.name

    def accepts(self, shape: tuple[int, int, int], dtype: DTypeLike, levels: int | None = None) -> bool:
        return self.shape in (None, shape)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        self.seen.append(images.shape)
        return bytes(int(images.size * self.percent / 100))


class Learning(Costing):
    """Getting better all the time: 40 % of what there is, and 500 bytes."""

    def __init__(self) -> None:
        super().__init__("learning", 40, learns=True)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        return super().encode(images) + bytes(500)


def pick(images: Images, *coders: Any, effort: Effort = "normal") -> Choice:
    return choose([images], [Candidate(coder) for coder in cast("list[Coder]", coders)], effort)


def names(choice: Choice) -> list[str]:
    return [one.coder.name for one, _ in choice.ranking]


def coded(choice: Choice) -> set[str]:
    """Which coders have coded everything."""
    assert all(tag == 9 for tag, *_ in choice.payloads)
    return {name for _, name, _ in choice.payloads}


def photo(count: int = 1, height: int = 600, width: int = 800) -> Images:
    rng = np.random.default_rng(0)
    return np.cumsum(rng.integers(-3, 4, (count, height, width, 3)), axis=2).astype(np.uint8)


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_smallest_comes_first_and_codes_little_to_get_there(effort: Effort) -> None:
    images = photo()
    coders = [Costing("bad", 60), Costing("best", 40), Costing("worse", 50)]
    choice = pick(images, *coders, effort=effort)
    assert names(choice) == ["best", "worse", "bad"]
    assert choice.payloads == {}
    assert all(sum(int(np.prod(shape)) for shape in coder.seen) < images.size // 8 for coder in coders)
    assert choice.reason.startswith("smallest on ")


def test_a_later_round_is_for_those_close_to_the_best() -> None:
    near, best, far = Costing("near", 42), Costing("best", 40), Costing("far", 50)
    choice = pick(photo(), near, best, far)
    assert names(choice) == ["best", "near", "far"]
    assert [len(coder.seen) for coder in (near, best, far)] == [2, 2, 1]
    assert coded(pick(photo(), near, best, far, effort="max")) == {"near", "best"}


def test_a_learner_gets_its_chance_on_everything() -> None:
    images = photo()
    model = Costing("model", 40.5)
    choice = pick(images, model, Learning())
    assert names(choice)[0] == "learning"
    assert coded(choice) == {"model", "learning"}
    assert len(choice.payloads[9, "learning", ()]) == choice.ranking[0][1]
    assert pick(images, Costing("model", 36), Learning()).payloads == {}
    fast = Learning()
    assert pick(images, model, fast, effort="fast").ranking[0][0].coder is cast("Any", model)
    assert len(fast.seen) == 1


def test_few_images_are_coded_once() -> None:
    images = photo(2, 40, 50)
    coders = [Costing("one", 40), Costing("two", 41), Learning()]
    choice = pick(images, *coders)
    assert [coder.seen for coder in coders] == [[images.shape]] * 3
    assert coded(choice) == {"one", "two", "learning"}
    assert [choice.samples(one) for one, _ in choice.ranking] == [images.size] * 3


def test_a_single_coder_is_not_tried() -> None:
    coder = Costing("one", 40)
    choice = pick(photo(), coder)
    assert [one.coder for one, _ in choice.ranking] == [coder]
    assert coder.seen == [] and choice.reason == ""


def test_a_coder_that_fails_is_left_out() -> None:
    class Failing(Costing):
        def encode(self, images: Images, threads: int = 1) -> bytes:
            raise BitsBackError("no")

    choice = pick(photo(), Failing("bad", 1), Costing("good", 40))
    assert names(choice) == ["good"]
    assert choice.warnings == ["bad was not used: no"]
    assert pick(photo(), Failing("bad", 1), Failing("worse", 1)).ranking == []


def test_blank_samples_put_nobody_out() -> None:
    class Constant(Costing):
        def encode(self, images: Images, threads: int = 1) -> bytes:
            super().encode(images)
            return bytes(int(self.percent))

    coders = [Constant("one", 3), Constant("two", 3 + SLACK)]
    pick(photo(), *coders)
    assert [len(coder.seen) for coder in coders] == [2, 2]


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
