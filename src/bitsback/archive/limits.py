"""The limits that are checked before anything is allocated on an archive's word."""

from dataclasses import dataclass

from bitsback.errors import LimitError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on what a file may announce; crossing one raises :class:`~bitsback.errors.LimitError`.

    All sizes are in bytes unless said otherwise. The defaults let every archive through that this version writes.

    >>> Limits(pixels=1_000_000).memory == Limits().memory
    True
    """

    head: int = 4 * MIB
    """A chunk's head, as stored and unpacked."""
    table: int = 64 * MIB
    """A directory or an index once unpacked; all directories together may have four times as much."""
    members: int = 1 << 21
    """Members of one archive, and its contents."""
    pixels: int = 1 << 28
    """Height times width of one image."""
    chunk: int = GIB
    """The decoded samples of one block, and a chunk's payload where it is read as a whole."""
    section: int = 64 * MIB
    """The unpacked bytes of one chunk."""
    model: int = 256 * MIB
    """An embedded model file."""
    memory: int = 2 * GIB
    """What decoding may hold at a time: working memory of the kinds included, in all threads together."""

    @staticmethod
    def things(size: int) -> int:
        """How many things (:class:`Allowance`), all together, a file of ``size`` bytes may describe.

        A thing takes about three microseconds, so that what opens slowly is large. Of names that go on evenly a byte
        can hold ten; but what stands under more than a quarter of a million of them takes bytes of its own.
        """
        return (1 << 18) + 2 * size


DEFAULT_LIMITS = Limits()


MEMBER, CONTENT, ARRAY, PIECE, BLOCK, CHUNK = 1, 1, 1, 2, 16, 192
"""How many things what an archive describes counts for. Each takes memory and time when the archive is opened; a block,
with its check, never takes less than 16 bytes of it. A chunk of data that something ends in, as all do where they are
many, takes more than 116, an index with its footer 94."""

AGAIN_ARRAYS = 4
"""So many arrays of a content count for a thing once more for each member that names it."""

HEAD_BYTES = 16
"""So many bytes of a head, once unpacked, count for a thing."""


SHARED = 8
"""How many times the samples of an array may be decoded for it, where it is far from who shares it."""


class Allowance:
    """What an archive may still describe. To be asked before anything is made of what it says.

    >>> allowance = Allowance(DEFAULT_LIMITS, 1)
    >>> allowance.take(PIECE)
    >>> allowance.take(1 << 20, PIECE)
    Traceback (most recent call last):
        ...
    bitsback.errors.LimitError: describes more things than a file of 1 bytes can hold
    """

    def __init__(self, limits: Limits, size: int) -> None:
        self._size = size
        self._left = limits.things(size)

    @property
    def spent(self) -> bool:
        """Whether too much was asked for."""
        return self._left < 0

    def take(self, count: int, weight: int = 1) -> None:
        """Count so many things more. LimitError if that is too much."""
        self._left -= count * weight
        if self._left < 0:
            raise LimitError(f"describes more things than a file of {self._size} bytes can hold")
