"""Parity repairs what it promises to repair, and never more than it knows."""

import hashlib
import struct
import tracemalloc
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive import damages
from bitsback.archive import parity
from bitsback.archive.container import check_sum
from bitsback.archive.limits import Limits
from bitsback.archive.parity import CELL, CELLS, MAGIC, SECTOR, Geometry, Read, Repair, cost, find, make, plan
from bitsback.errors import LimitError
from bitsback_decoder import parity as parity_reader

FRAME, TAIL = 72, 200


def reader(data: bytes) -> Read:
    def read(offset: int, size: int) -> bytes:
        assert 0 <= offset <= offset + size <= len(data), "asked for bytes outside of the file"
        return data[offset : offset + size]

    return read


def protect(data: bytes, share: float, start: int = 0, run: int = 1) -> bytes:
    """``data`` with parity for what follows ``start``, framed by other bytes as an archive has them, and a tail."""
    geometry = plan(start, len(data), share, run=run, frame=FRAME, tail=TAIL)
    payloads = b"".join(b"\xf7" * FRAME + payload for payload in make(reader(data), geometry, FRAME))
    assert len(payloads) == cost(geometry, FRAME)
    return data + payloads + b"\xf8" * TAIL


def repair(data: bytes, limits: Limits = Limits()) -> Repair:  # noqa: B008
    return parity.repair(reader(data), len(data), limits)


def noise(size: int, seed: int = 0) -> bytes:
    return Random(seed).randbytes(size)


def allowed(archive: bytes, share: float) -> int:
    """Sectors that may be damaged: the share of them, and one at least."""
    return max(1, int(damages.count(archive) * share + 1e-9))


def assert_repaired(damaged: bytes, data: bytes, words: str) -> None:
    repaired = repair(damaged)
    assert b"".join(repaired.pieces())[: len(data)] == data, words
    assert not repaired.report.lost, words


# The guarantee


@pytest.mark.parametrize(("size", "share", "hit"), [(20_000, 0.05, 1), (26_000, 0.25, 2), (9_000, 0.5, 4)])
def test_any_choice_of_sectors_is_repaired(size: int, share: float, hit: int) -> None:
    data = noise(size)
    archive = protect(data, share)
    assert allowed(archive, share) == hit
    for chosen in combinations(range(damages.count(archive)), hit):
        assert_repaired(damages.overwrite(archive, Random(1), chosen), data, f"sectors {chosen}")


@pytest.mark.parametrize(("share", "times"), [(0.05, 120), (0.01, 50), (0.3, 30)])
def test_random_damage_of_up_to_the_share_is_repaired(share: float, times: int) -> None:
    random = Random(2)
    data = noise(300_000) + bytes(50_000) + b"text " * 5_000
    archive = protect(data, share)
    for _ in range(times):
        damaged, words = damages.some(archive, random, allowed(archive, share))
        assert_repaired(damaged, data, words)


@given(
    size=st.one_of(st.integers(1, 3 * SECTOR), st.integers(1, 300_000)),
    start=st.integers(0, 10_000),
    share=st.sampled_from([0.001, 0.05, 0.1, 0.37, 0.5]),
    seed=st.integers(0, 2**32),
)
@example(size=1, start=0, share=0.05, seed=0)
@example(size=SECTOR, start=0, share=0.05, seed=0)
@example(size=2, start=SECTOR - 1, share=0.05, seed=0)
@example(size=SECTOR, start=2 * SECTOR, share=0.5, seed=0)
@settings(max_examples=60, deadline=None)
def test_sets_of_any_size_repair_any_damage(size: int, start: int, share: float, seed: int) -> None:
    random = Random(seed)
    data = random.randbytes(start + size)
    archive = protect(data, share, start)
    before, after = start - start % SECTOR, archive[start - start % SECTOR :]
    damaged, words = damages.some(after, random, allowed(after, share))
    repaired = b"".join(repair(archive[:before] + damaged).pieces())
    assert repaired[start : len(data)] == data[start:], words


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_most_of_the_parity_may_be_lost(lost: int) -> None:
    """The worst for the table: all damage but a little falls on the units."""
    data = noise(700_000)
    archive = protect(data, 0.1)
    first = damages.count(data) + 1
    hit = allowed(archive, 0.1)
    for seed in range(10):
        random = Random(seed)
        units = [first + n for n in damages.scatter(damages.count(archive) - first, hit - lost, random)]
        chosen = units + damages.scatter(damages.count(data), lost, random)
        assert_repaired(damages.overwrite(archive, random, chosen), data, f"sectors {chosen}")


@pytest.mark.parametrize("pattern", damages.PATTERNS)
def test_many_sectors_are_shared_out_among_strands(pattern: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "FIELD", 256)
    data = noise(2_000_000)
    archive = protect(data, 0.05)
    (found,) = find(reader(archive), len(archive))
    assert found.geometry.strands > 1
    random = Random(5)
    for _ in range(6):
        chosen = pattern(damages.count(archive), allowed(archive, 0.05), random)  # type: ignore[operator]
        assert_repaired(damages.overwrite(archive, random, chosen), data, f"sectors {chosen}")
    assert_repaired(archive[: -allowed(archive, 0.05) * SECTOR], data, "cut")


# What it costs, and that it stays as it is


@pytest.mark.parametrize(
    ("size", "expected"), [(300, 8_148), (20_000, 4_832), (200_000, 14_272), (10**6, 70_656), (5 * 10**6, 329_600)]
)
def test_what_parity_costs(size: int, expected: int) -> None:
    """With 5 %: two units at least, then about a quarter more than the share, for the table that finds the damage."""
    assert cost(plan(0, size, 0.05, run=0, frame=FRAME), FRAME) == expected


@pytest.mark.parametrize("size", [5 * 10**7, 24 * 10**7, 10**9, 10**10])
def test_large_sets_fit_the_field(size: int) -> None:
    geometry = plan(0, size, 0.05, run=0, frame=FRAME)
    assert geometry.is_sound()
    assert 1.05 < 1 + cost(geometry, FRAME) / size < 1.075


def test_bytes_are_pinned() -> None:
    digest = hashlib.sha256(protect(noise(100_000), 0.05, run=0x0123456789ABCDEF)).hexdigest()
    assert digest == "4630cbcf362247d46a914da86dcf5a5969a4a4175b537393183b40a46a8b3476"


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.floats(1e-6, 0.5), st.integers(0, 5000))
@settings(max_examples=50, deadline=None)
def test_plans_hold_what_they_must(size: int, start: int, share: float, frame: int) -> None:
    geometry = plan(start, start + size, share, run=0, frame=frame)
    assert geometry.is_sound()
    sectors = -(-(geometry.end + cost(geometry, frame) + SECTOR) // SECTOR) - start // SECTOR
    most = -(-round(share * 10**6) * sectors // 10**6)
    words = np.zeros(CELLS, int)
    for row in range(geometry.rows):
        words[geometry.cells(row)] += 1
    assert words.min() >= most
    assert geometry.rows - (most - 1) >= geometry.parts(0)


@pytest.mark.parametrize("share", [0, -1, 0.51, float("nan")])
def test_shares_that_make_no_sense_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share|NaN"):
        plan(0, 1000, share, run=0, frame=0)
    with pytest.raises(ValueError, match="no bytes"):
        plan(5, 5, 0.05, run=0, frame=0)


@pytest.mark.parametrize(("size", "start", "share"), [(20_000, 0, 0.05), (30_000, 5_000, 0.2), (9_000, 8_191, 0.3)])
def test_a_reader_made_from_the_text_agrees(size: int, start: int, share: float) -> None:
    data = noise(size)
    archive = protect(data, share, start)
    assert parity_reader.repair(archive) == data[start:]
    first = start // SECTOR
    for seed in range(3):
        chosen = damages.scatter(damages.count(data) - first, allowed(archive[start:], share), Random(seed))
        damaged = damages.overwrite(archive, Random(seed), [first + n for n in chosen])
        assert parity_reader.repair(damaged) == data[start:]


# Reports


def test_a_sound_file_is_left_as_it_is() -> None:
    archive = protect(noise(100_000), 0.05)
    repaired = repair(archive)
    assert b"".join(repaired.pieces()) == archive
    report = repaired.report
    assert report.is_sound and report.is_whole
    assert [(one.start, one.end, one.run, one.share) for one in report.sets] == [(0, 100_000, 1, 50_000)]


def test_a_file_without_parity_is_left_as_it_is() -> None:
    for data in (b"", b"x", noise(50_000), MAGIC * 3000, MAGIC):
        repaired = repair(data)
        assert b"".join(repaired.pieces()) == data
        assert not repaired.report.sets and repaired.report.is_sound


def test_the_report_names_what_was_damaged() -> None:
    archive = protect(noise(200_000), 0.05)
    damaged = bytearray(archive)
    damaged[5 * SECTOR + 17] ^= 1
    damaged[199_999] ^= 1
    damaged[-TAIL - 1] ^= 1
    report = repair(bytes(damaged)).report
    assert report.damaged == (5 * SECTOR, 48 * SECTOR)
    assert (report.lost, report.unknown, report.units_damaged) == ((), (), 1)
    assert report.is_whole and not report.is_sound


def test_beyond_the_share_nothing_is_made_up() -> None:
    data = noise(400_000)
    archive = protect(data, 0.05)
    for seed in range(30):
        random = Random(seed)
        hit = damages.scatter(damages.count(data), 15, random)
        repaired = repair(damages.overwrite(archive, random, hit))
        found = b"".join(repaired.pieces())
        assert len(found) == len(archive)
        found = found[: len(data)]
        lost = {offset // SECTOR for offset in repaired.report.lost}
        assert lost and not repaired.report.is_whole
        for number in range(damages.count(data)):
            span = slice(number * SECTOR, (number + 1) * SECTOR)
            assert number in lost or found[span] == data[span]


def test_what_does_not_fit_its_check_is_not_handed_out() -> None:
    """Parity of which every check is right, and which is wrong nevertheless."""
    archive = bytearray(protect(noise(20_000), 0.05))
    unit = archive.index(MAGIC)
    archive[unit + SECTOR - 3 * CELL] ^= 1
    archive[unit + 8 : unit + 16] = struct.pack("<Q", check_sum(bytes(archive[unit + 16 : unit + SECTOR])))
    archive[2 * SECTOR + 5] ^= 1
    repaired = repair(bytes(archive))
    assert b"".join(repaired.pieces()) == archive
    assert repaired.report.lost == repaired.report.damaged == (2 * SECTOR,)


def test_without_enough_parity_nothing_is_known() -> None:
    data = noise(2_000_000)
    archive = protect(data, 0.05)
    first = damages.count(data)
    damaged = damages.overwrite(archive, Random(0), range(first, damages.count(archive) - 2))
    repaired = repair(damaged)
    assert b"".join(repaired.pieces()) == damaged
    assert [(one.start, one.end) for one in repaired.report.unknown] == [(0, len(data))]
    assert not repaired.report.is_whole


def test_more_may_be_missing_than_can_be_brought_back() -> None:
    data = noise(300_000)
    archive = protect(data, 0.1)
    for missing in (60_000, 99_000):
        repaired = repair(archive[:200_000] + archive[200_000 + missing :])
        found = b"".join(repaired.pieces())
        assert found[: 48 * SECTOR] == data[: 48 * SECTOR]
        assert not repaired.report.is_whole
        if missing == 60_000:
            assert repaired.report.lost == tuple(range(48 * SECTOR, 260_000, SECTOR))
            assert found[64 * SECTOR : len(data)] == data[64 * SECTOR :]
        else:
            assert [one.end for one in repaired.report.unknown] == [len(data)]


# Files that have grown, shrunk, or hold others


@pytest.mark.parametrize("change", [damages.insert, damages.delete])
def test_one_insertion_or_deletion_is_undone(change: object) -> None:
    data = noise(500_000)
    archive = protect(data, 0.05)
    for seed in range(20):
        damaged = archive[:SECTOR] + change(archive[SECTOR:], Random(seed))  # type: ignore[operator]
        assert b"".join(repair(damaged).pieces())[: len(data)] == data, seed


def test_sets_that_follow_each_other_repair_their_own_part() -> None:
    first = protect(noise(300_000), 0.05)
    whole = protect(first + noise(200_000, 1), 0.05, len(first), run=2)
    random = Random(3)
    for _ in range(20):
        front, words = damages.some(first[:300_000], random, allowed(first, 0.05))
        start = -(-len(first) // SECTOR) * SECTOR
        back, more = damages.some(whole[start:], random, allowed(whole[start:], 0.05))
        if len(front) < 300_000:
            continue
        repaired = repair(front + whole[300_000:start] + back)
        found = b"".join(repaired.pieces())
        assert found[: len(first) + 200_000] == whole[: len(first) + 200_000], (words, more)
        assert [one.start for one in repaired.report.sets] == [0, len(first)]


def test_an_archive_inside_does_not_speak_for_the_one_outside() -> None:
    inner = protect(noise(100_000, 7), 0.05)
    spoiled = damages.overwrite(inner, Random(1), [3])
    outer = noise(50_001) + spoiled + noise(50_000, 2)
    # the outer has no parity: nothing is known about it, and nothing is changed
    repaired = repair(outer)
    assert b"".join(repaired.pieces()) == outer and not repaired.report.sets
    # the outer has parity: what it holds, spoiled as it is, is what comes back
    archive = protect(outer, 0.05)
    random = Random(4)
    for _ in range(20):
        damaged, words = damages.some(archive, random, allowed(archive, 0.05))
        assert_repaired(damaged, outer, words)


def test_an_older_copy_inside_does_not_speak_for_the_newer() -> None:
    """Both have the same id, the same place and the same beginning."""
    old = protect(noise(100_000), 0.05)
    data = old[:60_000] + noise(5_000, 1) + old + noise(9, 2)
    archive = protect(data, 0.05)
    random = Random(4)
    for _ in range(20):
        damaged, words = damages.some(archive, random, allowed(archive, 0.05))
        assert_repaired(damaged, data, words)


def test_a_copy_inside_that_is_equal_is_not_taken_for_the_file_itself() -> None:
    """An archive that was stored in itself: what was added has no parity, and units of the copy look like its own."""
    old = protect(noise(100_000), 0.05)
    whole = old + noise(5_001, 1) + old + noise(9, 2)
    for number in range(damages.count(old[:100_000])):
        damaged = damages.overwrite(whole, Random(number), [number])
        if number < 24:
            repaired = repair(damaged)
            assert b"".join(repaired.pieces()) == whole
            assert repaired.report.damaged == (number * SECTOR,)
        else:  # the last also holds what is not protected
            assert_repaired(damaged, old[:100_000], "the last sector")


# Units that lie


def forge(geometry: Geometry, strand: int = 0, row: int = 0, place: int = 0, table: int = 0) -> bytes:
    """A unit with a right check and nothing else."""
    fields = (geometry.run, geometry.start, geometry.end, place, table, geometry.share, geometry.strands, strand)
    body = struct.pack("<QQQQQIHHHHBBH", *fields, geometry.rows, row, geometry.room, geometry.last, 0)
    body = body.ljust(geometry.unit_size(row) - 16, b"\0")
    return MAGIC + struct.pack("<Q", check_sum(body)) + body


def traced(data: bytes) -> tuple[Repair, int]:
    """A repair and the memory that it took, with its result."""
    tracemalloc.start()
    try:
        repaired = repair(data)
        assert b"".join(repaired.pieces()) == data
        return repaired, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "claim",
    [
        Geometry(1, 0, 2**60 - 1, 1, 1, 2, 2, 0),
        Geometry(1, 0, 2**48, 1, 65535, 2, 2, 0),
        Geometry(1, 0, 65_000 * SECTOR, 1, 1, 500, 32, 0),
        Geometry(1, 0, 240 * SECTOR, 1, 1, 488, 32, 0),
        Geometry(1, 0, 15 * SECTOR * 65535, 1, 65535, 30, 3, 0),
        Geometry(1, 2**59, 2**59 + 1, 1, 1, 2, 2, 0),
    ],
)
def test_a_unit_that_lies_costs_neither_time_nor_memory(claim: Geometry) -> None:
    data = bytearray(noise(64 * SECTOR))
    for number in range(60):
        unit = forge(claim, number % claim.strands, number % claim.rows, number * SECTOR)
        data[number * SECTOR : number * SECTOR + len(unit)] = unit
    _, peak = traced(bytes(data))
    assert peak < 32 * len(data)


def test_units_without_what_they_protect_cost_no_memory() -> None:
    """All is as it should be but for the sectors: a small file that says that it was a large one."""
    size = 20_000_000
    geometry = plan(0, size, 0.001, run=1, frame=0)
    payload = b"".join(make(lambda offset, size: bytes(size), geometry, 0))
    data = bytearray(payload)
    for at in range(-size % SECTOR, len(data), SECTOR):
        data[at + 40 : at + 48] = struct.pack("<Q", at)
        end = min(at + SECTOR, len(data))
        data[at + 8 : at + 16] = struct.pack("<Q", check_sum(bytes(data[at + 16 : end])))
    repaired, peak = traced(bytes(data))
    assert repaired.report.unknown == (geometry,) and not repaired.report.sets
    assert peak < 32 * len(data)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_heads_of_any_content_are_survived(draw: st.DataObject) -> None:
    """Fields at random, then the check made right again."""
    archive = bytearray(protect(noise(30_000), 0.1))
    units = [at for at in range(0, len(archive), SECTOR) if archive[at : at + 8] == MAGIC]
    for at in draw.draw(st.lists(st.sampled_from(units), min_size=1, unique=True)):
        for _ in range(draw.draw(st.integers(1, 3))):
            where, size = draw.draw(
                st.sampled_from(
                    [
                        (16, 8),
                        (24, 8),
                        (32, 8),
                        (40, 8),
                        (48, 8),
                        (56, 4),
                        (60, 2),
                        (62, 2),
                        (64, 2),
                        (66, 2),
                        (68, 1),
                        (69, 1),
                        (70, 2),
                    ]
                )
            )
            value = draw.draw(st.one_of(st.integers(0, 9), st.integers(0, 256**size - 1)))
            archive[at + where : at + where + size] = value.to_bytes(8, "little")[:size]
        size = draw.draw(st.sampled_from([SECTOR, 128, 192, 256]))
        archive[at + 8 : at + 16] = struct.pack("<Q", check_sum(bytes(archive[at + 16 : at + size])))
    repaired = repair(bytes(archive))
    assert len(b"".join(repaired.pieces())) < 2 * len(archive) + 64 * SECTOR


def test_a_unit_with_any_bit_changed_is_none() -> None:
    archive = protect(noise(20_000), 0.05)
    (found,) = find(reader(archive), len(archive))
    offset = found.best(0).units[1]
    unit = archive[offset : offset + found.geometry.unit_size(1)]
    assert len(find(reader(unit), len(unit))) == 1
    for at in range(len(unit)):
        changed = unit[:at] + bytes([unit[at] ^ 1 << at % 8]) + unit[at + 1 :]
        assert not find(reader(changed), len(changed))


def test_limits_are_looked_at() -> None:
    archive = protect(noise(2_000_000), 0.05)
    damaged = damages.overwrite(archive, Random(0), [9])
    with pytest.raises(LimitError, match="rows of parity"):
        repair(damaged, Limits(memory=100_000))
