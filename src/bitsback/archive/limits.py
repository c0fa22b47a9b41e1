"""The limits that are checked before anything is allocated on an archive's word."""

from dataclasses import dataclass

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
        """How many members, contents, arrays and pieces, all together, a file of ``size`` bytes may describe.

        Each takes memory when an archive is opened. Of names that go on evenly, a byte can hold ten. A block, with its
        check, never takes less than eight bytes; it counts for 64.
        """
        return (1 << 16) + 16 * size


DEFAULT_LIMITS = Limits()
