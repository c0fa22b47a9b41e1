"""What a kind of model can do. The rooms above ask this face, never a kind's name.

A *kind* is a way to code images, with a folder of its own in :mod:`bitsback.kinds`. What codes is a :class:`Coder`: a
kind together with its weights, if it has any. A coder is known by two things that an archive stores: the ``tag`` of
its kind, which stands for one payload format for ever, and the ``id`` of its weights.

A kind without weights is a coder as it stands. One with weights is two classes: a :class:`ModelConfig`, which is what
a model file says of a model in JSON and what can be known without running it; and a :class:`Trained`, the same with
its tensors, ready to run. :class:`bitsback.models.Model` makes a coder of the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Self, get_args, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitsback.errors import ModelError

if TYPE_CHECKING:
    from bitsback.ans import Stack

Images = NDArray[Any]
"""(n, height, width, channels), uint8 or uint16, C-contiguous."""

Shape = tuple[int, int, int]
"""Height, width, channels of an image."""


Effort = Literal["fast", "normal", "max"]
"""How much time there is to encode."""

EFFORTS: tuple[Effort, ...] = get_args(Effort)


class Lot(NamedTuple):
    """So many images of one shape. A block may hold several *lots*, of one type and number of channels; as arrays they
    are a sequence of :data:`Images`."""

    n: int
    shape: Shape


Tensors = Mapping[str, NDArray[Any]]
"""The arrays of a model file by name."""

MAX_NAME = 100


class Coder(Protocol):
    """A kind with its weights: images in, payload out, and back. One object may serve several threads."""

    @property
    def tag(self) -> int:
        """The payload format, 0 to 255: what an archive calls the kind."""

    @property
    def id(self) -> str:
        """The identity of the weights, a SHA-256 in hex; empty for a kind without weights."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def learns(self) -> bool:
        """Whether it learns from the images as it codes them, so that a small sample does it no justice."""

    @property
    def starts(self) -> bool:
        """Whether a block costs something to begin, so that larger ones may pay, though it learns nothing."""

    @property
    def pace(self) -> int:
        """About how many samples one core decodes in a tenth of a second, a power of two of at least 2^14.

        A constant: block sizes depend on it.
        """

    def accepts(self, shape: Shape, dtype: DTypeLike, levels: int | None = None) -> bool:
        """Whether images of this shape and type, whose samples take so many values (None: any), can be coded."""

    def encode(self, images: Images, threads: int = 1) -> bytes:
        """Code at least one image into a payload, which does not depend on ``threads``.

        Raises:
            CodecError: the images are not of this coder's kind.
            InexactEngineError: see :meth:`prove`.
        """

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: DTypeLike = np.uint8, threads: int = 1) -> Images:
        """The inverse of :meth:`encode`: ``count`` images of ``shape`` and ``dtype``.

        Raises:
            FormatError, EmptyStackError: the payload is damaged. Every bit of it must have been used.
            InexactEngineError: see :meth:`prove`.
        """

    def memory(self, count: int, shape: Shape, dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        """Bytes that decoding so many images from a payload of so many bytes takes at most, the images included.

        Known before anything is allocated; it holds for hostile payloads too. What is loaded once and stays (compiled
        kernels, tables, the payload itself) is not counted.
        """

    def prepare(self) -> None:
        """Import, build and load now, in this thread, what is else done at the first use."""

    def prove(self) -> None:
        """Code the kind's known inputs and compare with its known answers: once for a set of kernels and a machine.

        :meth:`encode` and :meth:`decode` do so by themselves, each for what it is about to use.

        Raises:
            InexactEngineError: this machine, or a stale kernel, computes something else. Nothing was written.
        """


@runtime_checkable
class TakesLots(Protocol):
    """What a coder may have besides: that it codes images of several shapes together, and learns from one to the next.

    What others make of these is said in :mod:`bitsback.kinds.lots`, which is also where to ask.
    """

    def encode_lots(self, lots: Sequence[Images], threads: int = 1) -> bytes:
        """See :meth:`Coder.encode`; two lots or more."""

    def decode_lots(
        self, payload: bytes, lots: Sequence[Lot], dtype: DTypeLike = np.uint8, threads: int = 1
    ) -> list[Images]:
        """See :meth:`Coder.decode`."""

    def memory_lots(self, lots: Sequence[Lot], dtype: DTypeLike, payload: int, threads: int = 1) -> int:
        """See :meth:`Coder.memory`."""


@runtime_checkable
class Estimates(Protocol):
    """What a coder may have besides, whose payloads small samples do not tell: a quick look at all of the images."""

    def estimate(self, lots: Sequence[Images], closely: bool = False) -> int:
        """About how many bytes a payload would have: as a rule a third too many, at most; a tenth too many, if it looks
        closely, which takes about a third as long as to encode them."""


# Kinds with weights ---------------------------------------------------------------------------------------------------


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one image is: its shape (0: any), and how many values a sample takes (2: samples 0 and 1; 256: bytes)."""

    height: int
    width: int
    channels: int
    levels: Literal[2, 256]

    @property
    def shape(self) -> Shape:
        return self.height, self.width, self.channels

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an image may have this shape."""
        return len(shape) == 3 and all(mine in (0, axis) for mine, axis in zip(self.shape, shape, strict=True))

    def __str__(self) -> str:
        colour = ("grey", "grey and alpha", "RGB", "RGBA")[self.channels - 1]
        size = f"{self.height or 'any'}x{self.width or 'any'}" if self.height or self.width else "any size"
        return f"{size} {colour}, {'2 levels' if self.levels == 2 else '8 bits'}"


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model's known answers, SHA-256s in hex: of what its known images are coded to, and of what it makes of known
    bits. See :mod:`bitsback.kinds.proof`."""

    encoding: str = ""
    decoding: str = ""


class ModelConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag_field="kind"
):
    """What the configuration of any model says; a kind's own is a struct that begins with this."""

    TAG: ClassVar[int]
    """The payload format: :attr:`Coder.tag`."""

    DTYPE: ClassVar[str] = "uint8"
    """Of the samples."""

    STARTS: ClassVar[bool] = False
    """See :attr:`Coder.starts`."""

    name: str
    image: ImageSpec
    answers: Answers = Answers()

    def check(self) -> None:
        """Raise ModelError where the parts do not fit each other, or running the model would cost too much."""
        check_name(self.name)
        image = self.image
        if not (0 <= image.height <= 4096 and 0 <= image.width <= 4096 and 1 <= image.channels <= 4):
            raise ModelError("the model's image shape is not supported")

    def check_tensors(self, tensors: Tensors) -> set[str]:
        """The names of all tensors of the model, which are there and safe to run; else ModelError."""
        raise NotImplementedError

    def build(self, tensors: Tensors, engines: Sequence[str], threads: int, batch: int) -> Trained:
        """The model, ready to run. Arguments as of :meth:`bitsback.models.Model.from_bytes`.

        Raises:
            InexactEngineError: no engine runs its networks exactly.
        """
        raise NotImplementedError

    def with_self_test(self, tensors: Tensors) -> Self:
        """The same with what :meth:`build` needs to tell an exact engine from others."""
        return self

    @property
    def takes(self) -> str:
        """Which images it takes, for people."""
        return str(self.image)

    @property
    def pace(self) -> int:
        """See :attr:`Coder.pace`."""
        raise NotImplementedError

    def memory(self, count: int, shape: Shape, payload: int, threads: int) -> int:
        """See :meth:`Coder.memory`."""
        raise NotImplementedError

    @property
    def has_latents(self) -> bool:
        """Whether its :class:`Trained` is a :class:`WithLatents`."""
        return False

    @property
    def sees_neighbours(self) -> bool:
        """Whether the distribution of a sample depends on samples that were coded before it."""
        raise NotImplementedError

    def sentence(self) -> str:
        """What kind of model it is, for people."""
        raise NotImplementedError

    def lines(self) -> Iterator[tuple[str, str]]:
        """What there is to say of the model for people: heads of up to 11 characters, and texts."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """The same for programs, fit for JSON."""
        raise NotImplementedError


class Bits(NamedTuple):
    """Where the bits of images go, float64: ``samples``, of the images' shape; ``latents``, (n,)."""

    samples: NDArray[np.float64]
    latents: NDArray[np.float64]


class Trained(ABC):
    """A kind with the weights of one model.

    Images are (n, height, width, channels), C-contiguous, n >= 1, uint8 as a rule, of the model's kind: who calls has
    checked it.
    """

    config: ModelConfig

    @abstractmethod
    def encode(self, images: Images, threads: int) -> bytes:
        """See :meth:`Coder.encode`."""

    @abstractmethod
    def decode(self, payload: bytes, count: int, shape: Shape, threads: int) -> Images:
        """See :meth:`Coder.decode`."""

    @abstractmethod
    def bits(self, images: Images, seed: int) -> Bits:
        """The ideal code length of each sample, and what the latents of each image cost less the bits that come back,
        for one draw of the latents by ``seed``. For reports, never coded with."""

    @abstractmethod
    def draw(self, count: int, shape: Shape, random: Callable[[int], Stack]) -> Images:
        """Images popped from stacks of random bits; ``random`` gives one of so many bits.

        Raises:
            CodecError: such images are not coded in one piece.
        """

    def known_images(self, image: ImageSpec) -> Images:
        """What is coded for the known answer: see :mod:`bitsback.kinds.proof`."""
        from bitsback.kinds import proof

        return proof.known_images(image)


class WithLatents(Trained):
    """A model with latents: an image x, latents z, and what was learned of the two. Where there are several levels, z
    are those next to the image."""

    latents: int
    """How many an image has."""

    latent_bits: int
    """Each of them is one of 2^latent_bits buckets of equal mass under the prior."""

    @abstractmethod
    def prior(self, n: int, bits: int | None = None) -> Any:
        """p(z) of n images: a codec of uint16 (n, latents)."""

    @abstractmethod
    def likelihood(self, z: NDArray[np.uint16], bits: int | None = None) -> Any:
        """p(x | z): a codec of images."""

    @abstractmethod
    def posterior(self, x: Images) -> Any:
        """q(z | x): a codec of uint16 (n, latents)."""

    @abstractmethod
    def information(self, x: Images) -> NDArray[np.float64]:
        """KL(q(z_i | x) || p(z_i)) of each latent of each image in bits, (n, latents): the bits that latent i is pushed
        with, less those that come back, on average over the posterior, if p(z_i) is the standard normal."""


def check_name(name: str) -> None:
    """Raise ModelError if a model cannot be called that."""
    if not 1 <= len(name) <= MAX_NAME or any(char < " " or "\x7f" <= char <= "\x9f" for char in name):
        raise ModelError(f"the model's name must have 1 to {MAX_NAME} characters, and no control characters")
