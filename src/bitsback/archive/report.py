"""What an archive took in, and how it came out."""

from __future__ import annotations

from dataclasses import dataclass, field

from bitsback.archive.member import Entry
from bitsback.files import Skipped


@dataclass(slots=True)
class Kept:
    """What became of one member."""

    entry: Entry
    images: int = 0
    """Images that were kept as such."""
    how: str = ""
    """The coder's name; "packed" or "stored" for a file kept as bytes; "again" for a content that was there already."""
    reason: str = ""
    """Why that way."""
    note: str = ""
    """Of an image file that was kept as bytes: what was in the way."""
    exact: bool = True
    """Whether the file comes back byte for byte, and not "only" with the same pixels and metadata."""
    corrections: int = 0
    """Bytes that are kept for that only ..."""
    unexplained: bool = False
    """... or whether the whole file is, since they would be too many."""
    content: int | None = None
    """The number of its content, if it has one ..."""
    digest: bytes = b""
    """... and its digest."""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def size(self) -> int:
        return self.entry.size


@dataclass(frozen=True, slots=True)
class CodedGroup:
    """Images that were coded alike, what by, and what else there was: in bytes of all of them."""

    images: int
    samples: int
    how: str
    """What codes them, and what stands in front of it."""
    size: int
    others: list[tuple[str, int]] = field(default_factory=list)
    """What others would take, the smallest first: what they took, if they coded everything, else about what they would
    by the part that both coded."""
    why: str = ""
    """Why there was no choice, if there was none."""


@dataclass(slots=True)
class ModelUse:
    """A model that an archive needs."""

    id: str
    name: str
    embedded: int = 0
    """Bytes that it takes in the archive; 0 if it is not in there."""


@dataclass(slots=True)
class Report:
    """What an archive took in and how it came out. Sizes in bytes."""

    members: list[Kept] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    models: list[ModelUse] = field(default_factory=list)
    groups: list[CodedGroup] = field(default_factory=list)
    samples: int = 0
    """Samples (pixels times channels) in all images."""
    bytes_out: int = 0
    """The whole archive."""
    other_bytes: int = 0
    """The chunks of files that were kept as bytes."""
    seconds: float = 0.0
    choosing: float = 0.0
    """Of these, what choosing took."""

    @property
    def bytes_in(self) -> int:
        return sum(kept.size for kept in self.members)

    @property
    def images(self) -> int:
        return sum(kept.images for kept in self.members)

    @property
    def corrected(self) -> list[Kept]:
        """Members that take something for coming back byte for byte, which they would not with ``pixels``."""
        return [kept for kept in self.members if kept.corrections]

    @property
    def unexplained(self) -> list[Kept]:
        """Images that were kept whole for that."""
        return [kept for kept in self.members if kept.unexplained]

    @property
    def ratio(self) -> float:
        """Bytes in over bytes out."""
        return self.bytes_in / self.bytes_out if self.bytes_out else 0.0

    @property
    def bits_per_dim(self) -> float | None:
        """Bits of the archive for each sample, files that are no images left out; None without images."""
        return 8 * (self.bytes_out - self.other_bytes) / self.samples if self.samples else None
