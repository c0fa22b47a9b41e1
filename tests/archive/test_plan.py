from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.archive import plan
from bitsback.archive.directory import MAX_MEMBERS, MAX_ROWS
from bitsback.archive.plan import (
    ALONE,
    BATCH_SAMPLES,
    BATCH_TEXT,
    CHUNK_BLOCKS,
    CHUNK_BYTES,
    CHUNK_SAMPLES,
    MAX_BLOCK,
    MIN_BLOCK,
    ChunkPlan,
    Facts,
    Group,
    Key,
    Load,
    PartFacts,
    Room,
    Run,
    arranged,
    chunks,
    group,
    split,
)

KIB, MIB = 1 << 10, 1 << 20

shapes = st.sampled_from([(1, 1, 1), (8, 8, 1), (8, 8, 3), (40, 30, 1), (2000, 3000, 3)])
levels = st.sampled_from([None, (0, 255), (0, 1), (3, 3), (0, 0), (255, 255)])
arrays = st.builds(PartFacts, st.integers(1, 900), shapes, st.sampled_from(["uint8", "uint16"]), levels)
blobs = st.integers(0, 99) | st.integers(0, 3 * CHUNK_BYTES)
facts = st.builds(Facts, blobs, st.lists(arrays, max_size=3).map(tuple), st.booleans())


def planned(contents: list[Facts], samples: int) -> tuple[list[Group], list[ChunkPlan]]:
    blocks = [block for one in group(contents) for block in split(one, samples)]
    return blocks, chunks(contents, blocks)


@settings(deadline=None, max_examples=40)
@given(st.lists(facts, max_size=9), st.sampled_from([1, 1 << 14, 1 << 18, 1 << 30]))
def test_every_image_and_byte_is_in_exactly_one_piece(contents: list[Facts], samples: int) -> None:
    blocks, made = planned(contents, samples)
    assert sorted(number for one in made for number in one.blocks) == list(range(len(blocks)))
    done: Counter[tuple[int, int]] = Counter()
    last: dict[int, int] = {}
    for number, one in enumerate(made):
        for run in [*(run for block in one.blocks for run in blocks[block].runs), *one.runs]:
            assert run.length > 0 and run.start == done[run.content, run.part]  # in order, without gap or overlap
            done[run.content, run.part] += run.length
            last[run.content] = number
    wanted = {(content, 0): one.blob for content, one in enumerate(contents)}
    for content, one in enumerate(contents):
        wanted |= {(content, part): array.count for part, array in enumerate(one.parts, 1)}
    assert +done == +Counter(wanted)
    assert [one.ends for one in made] == [
        tuple(content for content in sorted(last) if last[content] == number) for number in range(len(made))
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(facts, max_size=9), st.sampled_from([1, 1 << 14, 1 << 18, 1 << 30]))
def test_sizes_stay_within_their_bounds(contents: list[Facts], samples: int) -> None:
    blocks, made = planned(contents, samples)
    for block in blocks:
        count = sum(run.length for run in block.runs)
        assert count == 1 or block.samples < 2 * MAX_BLOCK
        parts = [contents[run.content].parts[run.part - 1] for run in block.runs]
        assert {(part.shape[2], part.dtype) for part in parts} == {(block.key.channels, block.key.dtype)}
        assert block.shapes == tuple(part.shape for part in parts)
        for part in parts:
            assert block.key.levels is None or set(part.levels or "?") <= set(block.key.levels)
    for one in made:
        assert sum(run.length for run in one.runs) <= CHUNK_BYTES and len(one.blocks) <= CHUNK_BLOCKS
        assert one.blocks or one.runs


@settings(deadline=None, max_examples=20)
@given(st.lists(facts, max_size=6))
def test_a_plan_can_be_written_down(contents: list[Facts]) -> None:
    """What goes in and what comes out: a plan that is made elsewhere is the same."""
    there = msgspec.json.decode(msgspec.json.encode(contents), type=list[Facts])
    blocks, made = planned(there, 1 << 16)
    assert (blocks, made) == planned(contents, 1 << 16)
    assert msgspec.json.decode(msgspec.json.encode(blocks), type=list[Group]) == blocks
    assert msgspec.json.decode(msgspec.json.encode(made), type=list[ChunkPlan]) == made


def array(
    count: int = 1, shape: tuple[int, int, int] = (8, 8, 1), dtype: str = "uint8", levels: tuple[int, int] | None = None
) -> Facts:
    return Facts(100, (PartFacts(count, shape, dtype, levels),))


def grouped(*contents: Facts) -> list[list[int]]:
    return [[run.content for run in one.runs] for one in group(contents)]


def test_groups_by_channels_and_type() -> None:
    contents = [array(2), array(2, (5, 5, 1)), array(2, dtype="uint16"), array(2, (8, 8, 3)), array(3), Facts(7)]
    assert grouped(*contents) == [[0, 1, 4], [2], [3]]


def test_many_of_one_shape_are_a_group_of_their_own() -> None:
    many, few = ALONE // 64, 9
    assert grouped(array(many), array(few, (5, 5, 1)), array(few, (6, 5, 1)), array(few)) == [[0, 3], [1, 2]]
    assert grouped(array(many - 1), array(few, (5, 5, 1)), array(few, (6, 5, 1))) == [[0, 1, 2]]


def test_images_with_a_model_of_their_own_are_not_mixed() -> None:
    contents = [array(2), array(2, (5, 5, 1)), array(2, (6, 6, 1)), array(1, levels=(0, 1))]
    apart = {((5, 5, 1), "uint8", False), ((8, 8, 1), "uint8", True)}
    assert [[run.content for run in one.runs] for one in group(contents, apart)] == [[0, 2], [1], [3]]


def test_many_of_two_levels_are_a_group_of_their_own() -> None:
    def two(count: int) -> Facts:
        return array(count, (8, 9, 1), levels=(0, 1))

    assert grouped(two(9), array(9)) == [[0], [1]]
    assert grouped(two(8), array(10)) == [[0, 1]]
    assert grouped(two(ALONE // 72 + 1), array(ALONE // 64 + 99)) == [[0], [1]]
    assert grouped(two(8), array(ALONE)) == [[0], [1]]  # of other shapes, one of which is alone
    assert grouped(array(8, levels=(0, 1)), array(ALONE)) == [[0, 1]]


@pytest.mark.parametrize(
    ("others", "value", "expected"),
    [
        ([None], 0, None),
        ([(0, 200)], 0, (0, 200)),
        ([(0, 200)], 200, (0, 200)),
        ([(0, 200)], 7, None),
        ([], 0, (0, 255)),
        ([], 255, (0, 255)),
        ([], 1, (0, 1)),
        ([], 7, None),
        ([(1, 2), None], 9, None),
    ],
)
def test_a_blank_page_joins_its_like(others: list[tuple[int, int] | None], value: int, expected: object) -> None:
    found = group([*(array(levels=pair) for pair in others), array(levels=(value, value))])
    (home,) = [one for one in found if any(run.content == len(others) for run in one.runs)]
    assert home.key.levels == expected


def sketched(means: np.ndarray, edges: np.ndarray | None = None) -> list[Facts]:
    both = np.stack([means, np.zeros_like(means) if edges is None else edges], axis=1).astype("<u2")
    return [Facts(9, (PartFacts(1, (128, 128, 1), "uint8", sketch=one.tobytes()),)) for one in both]


def order_of(contents: list[Facts]) -> list[int]:
    (one,) = group(contents)
    put = arranged(one, contents)
    assert sorted(run.content for run in put.runs) == [run.content for run in one.runs] and put.shapes == one.shapes
    return [run.content for run in put.runs]


@pytest.mark.parametrize("count", [3, 7, 40])
@pytest.mark.parametrize("moves", [256, 5])
def test_images_that_were_shuffled_are_put_in_order(count: int, moves: int) -> None:
    """Of all 256 parts of a sketch so many change from one image to the next; others are the same in all."""
    rng = np.random.default_rng(count)
    sketches = np.full((count, 256), 900)
    for number in range(1, count):
        sketches[number] = sketches[number - 1]
        sketches[number, rng.permutation(256)[:moves]] += rng.integers(1, 9, moves)
    in_order = list(range(count))
    assert order_of(sketched(sketches)) == in_order
    shuffled = rng.permutation(count) if count > 3 else np.array([1, 0, 2])
    found = [int(shuffled[number]) for number in order_of(sketched(sketches[shuffled]))]
    assert found in (in_order, in_order[::-1], shuffled.tolist()) and (count == 3 or found != shuffled.tolist())


@pytest.mark.parametrize("seed", range(6))
def test_drawings_are_put_in_order_by_what_differs(seed: int) -> None:
    """Frames to which one thing after the other is added, each somewhere else, and no two of a size; in any order."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 40))
    means, edges = np.full((count, 256), 900), np.full((count, 256), 30)
    places = rng.permutation(256)
    for number in range(1, count):
        means[number], edges[number] = means[number - 1], edges[number - 1]
        drawn = places[3 * number : 3 * number + 1 + number % 3]
        means[number, drawn] += 9
        edges[number, drawn] += 40 + number
    shuffled = rng.permutation(count)
    found = [int(shuffled[k]) for k in order_of(sketched(means[shuffled], edges[shuffled]))]
    assert found in (list(range(count)), list(range(count))[::-1])


def test_images_that_are_not_alike_stay_in_order() -> None:
    rng = np.random.default_rng(0)
    sketches = rng.integers(0, 4000, (20, 256))
    assert order_of(sketched(sketches)) == list(range(20))
    assert order_of([array(1, (100, 99, 1)) for _ in range(30)]) == list(range(30))  # without sketches
    drift = np.arange(20)[rng.permutation(20), None] + np.zeros((20, 256), int)
    one = sketched(drift)
    assert order_of(one) != list(range(20))
    assert order_of([*one, array(1, (128, 128, 1))]) == list(range(21))


def test_blocks_are_cut_evenly_across_files() -> None:
    one = Group(Key(1, "uint8"), (Run(0, 1, 0, 40), Run(1, 1, 0, 3), Run(2, 1, 0, 2)), 3 * ((8, 8, 1),))
    blocks = split(one, 16 * 64)
    assert [sum(run.length for run in block.runs) for block in blocks] == [15, 15, 15]
    assert blocks[2].runs == (Run(0, 1, 30, 10), Run(1, 1, 0, 3), Run(2, 1, 0, 2))
    assert split(one, 1 << 30) == [one]


def test_blocks_are_neither_tiny_nor_huge_whatever_is_asked_for() -> None:
    tiny = Group(Key(1, "uint8"), (Run(0, 1, 0, 10 * MIN_BLOCK),), ((1, 1, 1),))
    assert len(split(tiny, 1)) == 10
    huge = Group(Key(1, "uint8"), (Run(0, 1, 0, 64),), ((MIB, 1, 1),))
    assert len(split(huge, 1 << 60)) == 64 * MIB // MAX_BLOCK
    large = Group(Key(1, "uint8"), (Run(0, 1, 0, 2),), ((MAX_BLOCK, 2, 1),))
    assert len(split(large, 1 << 60)) == 2


def test_blocks_of_many_shapes_are_about_as_large() -> None:
    shapes = [(8, 8, 1), (30, 40, 1), (1, 1, 1), (64, 64, 1), (9, 9, 1)] * 40
    runs = tuple(Run(number, 1, 0, 1) for number in range(len(shapes)))
    one = Group(Key(1, "uint8"), runs, tuple(shapes))
    blocks = split(one, 1 << 14)
    assert tuple(run for block in blocks for run in block.runs) == runs
    assert tuple(shape for block in blocks for shape in block.shapes) == one.shapes
    assert all(abs(block.samples - one.samples / len(blocks)) <= 64 * 64 for block in blocks)
    assert one.samples >> 15 < len(blocks) <= one.samples >> 13
    huge = Group(Key(1, "uint8"), runs[:9], ((300, 300, 1), *8 * ((8, 8, 1),)))
    assert [block.count for block in split(huge, 1 << 14)] == [1, 8]


def test_metadata_is_where_its_images_are() -> None:
    contents = [Facts(50, (PartFacts(1, (2048, 1024, 1), "uint8"),)) for _ in range(4)]
    blocks, made = planned(contents, 2 * MIB)
    assert [one.blocks for one in made] == [(0, 1), (2, 3)]
    assert [[run.content for run in one.runs] for one in made] == [[0, 1], [2, 3]]
    assert sum(block.samples for block in blocks[:2]) == CHUNK_SAMPLES


def test_much_metadata_goes_elsewhere() -> None:
    contents = [
        Facts(CHUNK_BYTES - 10, (PartFacts(1, (8, 8, 1), "uint8"),)),
        array(),
        Facts(CHUNK_BYTES + 5, array().parts),
    ]
    _, made = planned(contents, 64)
    assert [run for one in made for run in one.runs if run.content == 0] == [Run(0, 0, 0, CHUNK_BYTES - 10)]
    assert [[(run.content, run.length) for run in one.runs] for one in made] == [
        [(0, CHUNK_BYTES - 10)],
        [(1, 100)],
        [(2, CHUNK_BYTES)],
        [(2, 5)],
    ]


def test_files_kept_as_bytes_are_cut_only_if_they_are_large() -> None:
    sizes = [30 * KIB, 3 * MIB, 19 * MIB, 40 * KIB, 0]
    _, made = planned([Facts(size) for size in sizes], 1)
    assert [[(run.content, run.start, run.length) for run in one.runs] for one in made] == [
        [(0, 0, 30 * KIB), (1, 0, 3 * MIB)],
        [(2, 0, 8 * MIB)],
        [(2, 8 * MIB, 8 * MIB)],
        [(2, 16 * MIB, 3 * MIB), (3, 0, 40 * KIB)],
    ]


def test_bytes_that_pack_are_not_mixed_with_those_that_do_not() -> None:
    contents = [Facts(500), Facts(600, packable=False), Facts(700)]
    _, made = planned(contents, 1)
    assert [([run.content for run in one.runs], one.packable) for one in made] == [([0, 2], True), ([1], False)]


def test_a_few_bytes_share_the_chunk_of_the_images() -> None:
    _, made = planned([array(), Facts(500)], 1 << 16)
    assert [len(one.runs) for one in made] == [2]
    _, made = planned([array(), Facts(500, packable=False)], 1 << 16)
    assert [len(one.runs) for one in made] == [1, 1]
    _, made = planned([array(), Facts(CHUNK_BYTES)], 1 << 16)
    assert [len(one.runs) for one in made] == [1, 1]


def test_a_chunk_does_not_have_too_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_BLOCKS", 4)
    _, made = planned([array(shape=(8, 8, 1 + n)) for n in range(10)], 1)
    assert [len(one.blocks) for one in made] == [4, 4, 2]


@pytest.mark.parametrize(
    ("load", "most"),
    [
        (Load(0, 0, 0), MAX_MEMBERS),
        (Load(BATCH_SAMPLES // 4, 0, 0), 4),
        (Load(0, BATCH_TEXT // 3, 0), 4),
        (Load(0, 0, MAX_ROWS // 2), 2),
        (Load(0, 0, MAX_ROWS // 2 + 1), 1),
        (Load(9 * BATCH_SAMPLES, 9 * BATCH_TEXT, 9 * MAX_ROWS), 1),
    ],
)
def test_a_batch_has_room_for_so_many(load: Load, most: int) -> None:
    room = Room()
    assert [room.takes(load) for _ in range(most + 1)] == [True] * most + [False]
