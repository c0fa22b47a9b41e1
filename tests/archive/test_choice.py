from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from bitsback.archive.choice import EFFORTS, SLACK, Choice, Effort, choose, sample
from bitsback.archive.routes import PredictorRoute, Route
from bitsback.errors import BitsBackError

Images = np.ndarray


@dataclass
class Costing:
    """A route that takes so many bytes for 100 samples, and knows what it was asked to code."""

    label: str
    percent: float
    shape: tuple[int, int, int] | None = None
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def accepts(self, shape: tuple[int, int, int]) -> bool:
        return self.shape in (None, shape)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        self.seen.append(images.shape)
        return bytes(int(images.size * self.percent / 100))


class Learning(PredictorRoute):
    """The predictor, getting better all the time: 40 % of what there is, and 500 bytes."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def encode(self, images: Images, threads: int = 1) -> bytes:
        self.seen.append(images.shape)
        return bytes(images.size * 2 // 5 + 500)


def pick(images: Images, *routes: Any, effort: Effort = "normal") -> Choice:
    return choose(images, cast("list[Route]", list(routes)), effort)


def photo(count: int = 1, height: int = 600, width: int = 800) -> Images:
    rng = np.random.default_rng(0)
    return np.cumsum(rng.integers(-3, 4, (count, height, width, 3)), axis=2).astype(np.uint8)


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_smallest_comes_first_and_codes_little_to_get_there(effort: Effort) -> None:
    images = photo()
    routes = [Costing("bad", 60), Costing("best", 40), Costing("worse", 50)]
    choice = pick(images, *routes, effort=effort)
    assert [route.label for route, _ in choice.ranking] == ["best", "worse", "bad"]
    assert choice.payloads == {}
    assert all(sum(int(np.prod(shape)) for shape in route.seen) < images.size // 8 for route in routes)
    assert choice.reason.startswith(f"smallest on {choice.samples:,} samples: best ")


def test_a_later_round_is_for_those_close_to_the_best() -> None:
    near, best, far = Costing("near", 42), Costing("best", 40), Costing("far", 50)
    choice = pick(photo(), near, best, far)
    assert [route.label for route, _ in choice.ranking] == ["best", "near", "far"]
    assert [len(route.seen) for route in (near, best, far)] == [2, 2, 1]
    assert pick(photo(), near, best, far, effort="max").payloads.keys() == {"near", "best"}


def test_the_predictor_gets_its_chance_on_everything() -> None:
    images = photo()
    model = Costing("model", 40.5)
    choice = pick(images, model, Learning())
    assert choice.ranking[0][0].label == "predictor"
    assert choice.payloads.keys() == {"model", "predictor"}
    assert len(choice.payloads["predictor"]) == choice.ranking[0][1]
    assert pick(images, Costing("model", 36), Learning()).payloads == {}
    fast = Learning()
    assert pick(images, model, fast, effort="fast").ranking[0][0] is cast("Any", model)
    assert len(fast.seen) == 1


def test_few_images_are_coded_once() -> None:
    images = photo(2, 40, 50)
    routes = [Costing("one", 40), Costing("two", 41), Learning()]
    choice = pick(images, *routes)
    assert [route.seen for route in routes] == [[images.shape]] * 3
    assert choice.payloads.keys() == {"one", "two", "predictor"}
    assert choice.samples == images.size


def test_a_single_route_is_not_tried() -> None:
    route = Costing("one", 40)
    choice = pick(photo(), route)
    assert [route for route, _ in choice.ranking] == [route]
    assert route.seen == [] and choice.reason == ""


def test_a_route_that_fails_is_left_out() -> None:
    class Failing(Costing):
        def encode(self, images: Images, threads: int = 1) -> bytes:
            raise BitsBackError("no")

    choice = pick(photo(), Failing("bad", 1), Costing("good", 40))
    assert [route.label for route, _ in choice.ranking] == ["good"]
    assert choice.warnings == ["bad was not used: no"]
    assert pick(photo(), Failing("bad", 1), Failing("worse", 1)).ranking == []


def test_blank_samples_put_nobody_out() -> None:
    class Constant(Costing):
        def encode(self, images: Images, threads: int = 1) -> bytes:
            super().encode(images)
            return bytes(int(self.percent))

    routes = [Constant("one", 3), Constant("two", 3 + SLACK)]
    pick(photo(), *routes)
    assert [len(route.seen) for route in routes] == [2, 2]


def sampled(images: Images, samples: int, *routes: Any) -> Images:
    return sample(images, samples, cast("list[Route]", list(routes)))


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
