"""What happens to files: bytes that flip, sectors that are lost, ends that are missing. All of it from a seed.

Every function takes the bytes of a file and a ``random.Random`` and gives the bytes of the damaged one; those that take
sectors say which they hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

SECTOR = 4096


def count(data: bytes) -> int:
    """Sectors of a file, the last counted whole."""
    return -(-len(data) // SECTOR)


def flip(data: bytes, random: Random, times: int = 1) -> bytes:
    """Change that many bits, at different bytes."""
    damaged = bytearray(data)
    for at in random.sample(range(len(data)), min(times, len(data))):
        damaged[at] ^= 1 << random.randrange(8)
    return bytes(damaged)


def overwrite(data: bytes, random: Random, sectors: Iterable[int]) -> bytes:
    """Spoil these sectors, each in a way of its own: zeros, noise, one bit, another sector's bytes, its own shifted."""
    damaged = bytearray(data)
    for number in sectors:
        begin, end = number * SECTOR, min((number + 1) * SECTOR, len(data))
        other = random.randrange(count(data)) * SECTOR
        damaged[begin:end] = random.choice(
            [
                bytes(end - begin),
                b"\xff" * (end - begin),
                random.randbytes(end - begin),
                flip(data[begin:end], random),
                data[other : other + end - begin].ljust(end - begin, b"\0"),
                data[begin + 1 : end] + b"\0",
            ]
        )
    return bytes(damaged)


def cut(data: bytes, random: Random, most: int | None = None) -> bytes:
    """The file without its end: at most ``most`` bytes less, at least one."""
    return data[: len(data) - random.randint(1, min(most or len(data), len(data)))]


def insert(data: bytes, random: Random, most: int = 2 * SECTOR) -> bytes:
    """Foreign bytes somewhere in the file."""
    at = random.randint(0, len(data))
    return data[:at] + random.randbytes(random.randint(1, most)) + data[at:]


def delete(data: bytes, random: Random, most: int = 2 * SECTOR) -> bytes:
    """The file without some bytes in its midst."""
    size = random.randint(1, min(most, len(data)))
    at = random.randint(0, len(data) - size)
    return data[:at] + data[at + size :]


def scatter(sectors: int, number: int, random: Random) -> list[int]:
    return sorted(random.sample(range(sectors), number))


def burst(sectors: int, number: int, random: Random) -> list[int]:
    first = random.randrange(sectors - number + 1)
    return list(range(first, first + number))


def ends(sectors: int, number: int, random: Random) -> list[int]:
    """The first sectors and the last ones."""
    first = random.randint(0, number)
    return [*range(first), *range(sectors - number + first, sectors)]


def bursts(sectors: int, number: int, random: Random) -> list[int]:
    """A few short bursts."""
    hit: set[int] = set()
    while len(hit) < number:
        length = min(number - len(hit), random.randint(1, 8), sectors)
        hit.update(burst(sectors, length, random))
    return sorted(hit)


PATTERNS: tuple[Callable[[int, int, Random], list[int]], ...] = (scatter, burst, bursts, ends)


class Damage(NamedTuple):
    """A damaged file and what was done to it, in words for a test's message."""

    data: bytes
    words: str


def some(data: bytes, random: Random, sectors: int) -> Damage:
    """At most ``sectors`` sectors damaged in a random way: strewn, in bursts, at the ends, cut off, or both."""
    total = count(data)
    number = random.choice([sectors, random.randint(1, sectors)]) if sectors else 0
    if number and random.random() < 0.25:
        gone = random.randint(1, number)
        kept = (total - gone) * SECTOR
        short = data[: kept + random.randrange(max(1, min(SECTOR, len(data) - kept)))]
        # the sector that the cut goes through is one of those that are gone
        hit = scatter(kept // SECTOR, min(number - gone, kept // SECTOR), random)
        return Damage(overwrite(short, random, hit), f"cut to {len(short)} of {len(data)} bytes, sectors {hit}")
    pattern = random.choice(PATTERNS)
    hit = pattern(total, min(number, total), random)
    return Damage(overwrite(data, random, hit), f"{pattern.__name__} of sectors {hit} of {total}")
