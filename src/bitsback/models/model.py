"""A model as the archive and the user meet it: loaded by name, path or identity; images in, payload out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import structs

from bitsback.errors import BitsBackError, CodecError, ModelError, ModelNotFoundError
from bitsback.kinds import AnyConfig, proof
from bitsback.kinds.base import Answers, Bits, ImageSpec, Tensors, Trained
from bitsback.models import file, search
from bitsback.models.file import SUFFIX
from bitsback.nets.engine import ENGINES

FAST = "-fast"
"""How the names of models end that give up some size for speed."""

LARGEST = {"thumbnails": 128, "digits": 64}
"""Pixels an edge up to which a model is worth trying, where it takes larger images too but others are made for them."""

Images = npt.NDArray[np.uint8]
"""(n, height, width, channels), C-contiguous."""


class Model:
    """A trained model: a :class:`bitsback.kinds.base.Coder`.

    Loading reads and checks the file; the networks are built, and admitted by the model's self-test, at the first
    use. One object may be used from several threads at once.

    Attributes:
        id: its identity, a SHA-256 in hex: of what its file holds, not of how it is packed.
        config: its configuration.
        tensors: its weights by name.
        data: the model file, bytes.

    >>> model = Model.load("digits-binary")
    >>> model.name, model.shape, model.levels
    ('digits-binary', (28, 28, 1), 2)
    """

    learns = False

    def __init__(self, data: bytes, engines: Sequence[str] = ENGINES, threads: int = 1, batch: int = 1 << 12) -> None:
        self.data = data
        self.id, self.config, self.tensors = file.parse(data)
        self._lock = threading.Lock()
        self._trained: Trained | None = None
        self._engine_options = (tuple(engines), threads, batch)

    @classmethod
    def from_bytes(cls, data: bytes, engines: Sequence[str] = ENGINES, threads: int = 1, batch: int = 1 << 12) -> Model:
        """A model from the bytes of its file.

        Args:
            engines: which engines may run its networks, best first: "int8", "float32", "reference". Archives do not
                depend on the choice.
            threads: threads that an engine may use within one call. Archives do not depend on it either.
            batch: most images that an engine is given at once. Nor on this.

        Raises:
            ModelError: the bytes are not a sound model file.
        """
        return cls(data, engines, threads, batch)

    @classmethod
    def made(cls, config: AnyConfig, tensors: Tensors) -> Model:
        """A new model of its parts. What proves that a machine computes it exactly is added here.

        Raises:
            ModelError: the parts do not fit, or an accumulator could overflow. InexactEngineError: no engine here runs
                it exactly.
        """
        config = config.with_self_test(tensors)
        config.check()
        trained = config.build(tensors, ENGINES, 1, 1 << 12)
        config = structs.replace(config, answers=Answers(*proof.answers(trained, config.image)))
        return cls(file.dump(config, tensors))

    @classmethod
    def load(
        cls, name_or_path: str | Path, engines: Sequence[str] = ENGINES, threads: int = 1, batch: int = 1 << 12
    ) -> Model:
        """A model by the path of its file, which ends in ``.bbm``, or by its name (:mod:`bitsback.models.search`).

        Raises:
            ModelNotFoundError: there is none. ModelError, FormatError, LimitError: it is not a sound model file.
        """
        path = Path(name_or_path)
        if path.suffix != SUFFIX:
            known = {found.name: found.path for found in reversed(search.find())}
            if str(name_or_path) not in known:
                names = ", ".join(sorted(known))
                raise ModelNotFoundError(f"no model {str(name_or_path)!r}: not a {SUFFIX} file, nor one of {names}")
            path = known[str(name_or_path)]
        try:
            return cls(file.read(path), engines, threads, batch)
        except FileNotFoundError:
            raise ModelNotFoundError(f"{path}: no such file") from None
        except OSError as error:
            raise ModelError(f"{path}: {(error.strerror or str(error)).lower()}") from None
        except BitsBackError as error:
            raise type(error)(f"{path}: {error}") from None

    @classmethod
    def find(cls, identity: str) -> Model:
        """The installed model with this :attr:`id`.

        Raises:
            ModelNotFoundError: none has it. ModelError, FormatError: the file that claims it is not sound.
        """
        failure: BitsBackError | None = None
        for found in search.find():
            if _identity(found.path, _stamp(found.path)) == identity:
                try:
                    return _shared(found.path)
                except BitsBackError as error:
                    failure = failure or error
        if failure is not None:
            raise failure
        raise ModelNotFoundError(
            f"the model sha256:{identity} is not installed: install its file (bitsback models --add FILE), "
            "give it (-m FILE), or ask for an archive made with --embed-model"
        )

    @property
    def name(self) -> str:
        """Its name, for people; archives go by :attr:`id`."""
        return self.config.name

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images that it takes; 0 stands for any."""
        image = self.config.image
        return image.height, image.width, image.channels

    @property
    def levels(self) -> int:
        """How many values a sample takes: 2 for samples 0 and 1, or 256."""
        return self.config.image.levels

    @property
    def takes(self) -> str:
        """Which images it takes, in words.

        >>> Model.load("digits-binary").takes
        '28x28 grey, 2 levels'
        """
        return self.config.takes

    @property
    def has_latents(self) -> bool:
        """Whether it has latents, and :attr:`trained` a prior and a posterior."""
        return self.config.has_latents

    @property
    def tag(self) -> int:
        """The payload format: see :class:`bitsback.kinds.base.Coder`, like all that follows but the last three."""
        return self.config.TAG

    @property
    def starts(self) -> bool:
        """Whether a block costs something to begin."""
        return self.config.STARTS

    @property
    def pace(self) -> int:
        """About how many samples one core decodes in a tenth of a second."""
        return self.config.pace

    def accepts(self, shape: tuple[int, int, int], dtype: npt.DTypeLike, levels: int | None = None) -> bool:
        """Whether images of ``shape`` (height, width, channels) and ``dtype``, with so many values (None: any), fit."""
        fits = self._fits(shape) and np.dtype(dtype) == self.config.DTYPE
        return fits and (self.levels == 256 or levels == self.levels)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        """Code images, uint8 (n, height, width, channels) with n >= 1, into a payload.

        ``threads``: how many may work on tiles of large images. The payload does not depend on it.

        Raises:
            CodecError: the images are not the model's kind. InexactEngineError: this machine does not compute the
                model exactly.
        """
        self._check(images)
        if not images.size:
            raise CodecError(f"the model {self.name} codes at least one image")
        self._prove_encoding()
        return self.trained.encode(np.ascontiguousarray(images), threads)

    def decode(
        self,
        payload: bytes,
        count: int,
        shape: tuple[int, int, int] | None = None,
        dtype: npt.DTypeLike = np.uint8,
        threads: int = 1,
    ) -> Images:
        """The inverse of :meth:`encode`: uint8 (count, height, width, channels). ``shape`` may be left out where the
        model's images have one size.

        Raises:
            FormatError, EmptyStackError: the payload is damaged. InexactEngineError: see :meth:`encode`.
        """
        shape = self._one_shape(shape)
        if np.dtype(dtype) != self.config.DTYPE or count < 1:
            raise CodecError(f"the model {self.name} has no {count} images of type {np.dtype(dtype)}")
        self._prove_decoding()
        return self.trained.decode(payload, count, shape, threads)

    def memory(
        self, count: int, shape: tuple[int, int, int], dtype: npt.DTypeLike, payload: int, threads: int = 1
    ) -> int:
        """Bytes that decoding takes at most."""
        return self.config.memory(count, shape, payload, threads)

    def prepare(self) -> None:
        """Build the networks now, which else happens at the first use.

        Raises:
            InexactEngineError: no engine runs them exactly here.
        """
        _ = self.trained

    def prove(self) -> None:
        """Make sure that the model is computed here as it is everywhere.

        Raises:
            InexactEngineError: it is not.
        """
        self._prove_encoding()
        self._prove_decoding()

    def bits(self, images: Images, seed: int = 0) -> Bits:
        """Where the bits of images go: ``samples``, float64 of the images' shape, the ideal code length of each sample;
        and ``latents``, float64 (n,), what the latents of each image cost, less the bits that come back.

        For a model with latents, one draw of them, which ``seed`` chooses; for others, exact. Images of more than 1,024
        pixels an edge are taken in tiles, as they are coded.

        Raises:
            CodecError: the images are not the model's kind.

        >>> model = Model.load("digits-binary")
        >>> samples, latents = model.bits(model.draw(2))
        >>> samples.shape, latents.shape
        ((2, 28, 28, 1), (2,))
        """
        self._check(images)
        return self.trained.bits(np.ascontiguousarray(images), seed)

    def elbo_bits(self, images: Images, seed: int = 0) -> npt.NDArray[np.float64]:
        """The negative ELBO of each image in bits, float64 (n,): what a long chain spends on it, on average.

        It is the sum of :meth:`bits`.
        """
        samples, latents = self.bits(images, seed)
        total: npt.NDArray[np.float64] = samples.sum((1, 2, 3)) + latents
        return total

    def draw(self, count: int, shape: tuple[int, int, int] | None = None, seed: int = 0) -> Images:
        """Images drawn from the model, uint8 (count, height, width, channels).

        Decoding random bits is sampling: an image of b bits comes out of a random stack once in 2^b times. (James
        Townsend, Tom Bird & David Barber, "Practical lossless compression with latent variables using bits back
        coding", ICLR 2019, section 2.)

        Args:
            shape: (height, width, channels) of an image; may be left out where the model's images have one size.
            seed: of the random bits. Images also depend on ``count``.

        Raises:
            CodecError: the model has no such images, or they would be of more than 1,024 pixels an edge, which are
                coded in tiles that know nothing of each other.
        """
        from bitsback.kinds.noise import noise  # not above: it loads the compiler

        shape = self._one_shape(shape)
        if count < 0:
            raise CodecError(f"{count} images cannot be drawn")
        rng = np.random.default_rng(seed)
        return self.trained.draw(count, shape, lambda bits: noise(rng, bits))

    @property
    def trained(self) -> Trained:
        """The model as its kind has it, ready to run: of one with latents, its prior, likelihood and posterior."""
        with self._lock:
            if self._trained is None:
                self._trained = self.config.build(self.tensors, *self._engine_options)
            return self._trained

    def _prove_encoding(self) -> None:
        self._prove(proof.encoding, self.config.answers.encoding)

    def _prove_decoding(self) -> None:
        self._prove(proof.decoding, self.config.answers.decoding)

    def _prove(self, compute: Callable[[Trained, ImageSpec], str], answer: str) -> None:
        trained = self.trained
        key = f"{self.tag} {self.id} {compute.__name__}"
        proof.once(f"the model {self.name}", key, lambda: compute(trained, self.config.image) == answer)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return self.config.image.fits(shape)

    def _one_shape(self, shape: tuple[int, int, int] | None) -> tuple[int, int, int]:
        """The shape asked for, or the only one; CodecError if the model has no such images."""
        shape = self.shape if shape is None else shape
        if not self._fits(shape) or min(shape) < 1:
            raise CodecError(f"the model {self.name} has images of shape {self.shape}, not {tuple(shape)}")
        return shape

    def _check(self, images: Images) -> None:
        """Raise CodecError unless the images are the model's kind."""
        if images.ndim != 4 or not self._fits(images.shape[1:]) or images.dtype != self.config.DTYPE:
            wanted = f"{self.config.DTYPE} (n, *{self.shape})"
            raise CodecError(f"the model {self.name} takes {wanted}, not {images.dtype} {images.shape}")
        if self.levels == 2 and images.size and images.max() > 1:
            raise CodecError(f"the model {self.name} takes samples 0 and 1")

    def __repr__(self) -> str:
        return f"<Model {self.name}, sha256:{self.id[:12]}>"


def candidates(
    shape: tuple[int, int, int], dtype: npt.DTypeLike, levels: int | None = None, effort: str = "normal"
) -> list[Model]:
    """The installed models worth trying on such images; the first three arguments are as for :meth:`Model.accepts`.

    The user's own models that fit come first, all of them. Of the shipped ones, ``effort`` "max" takes all; "fast"
    those called ``...-fast``, if there are any that fit; "normal" the others, and a fast one only if that which it
    stands in for is not there. Files that are no sound models are passed over.
    """
    own: dict[str, Model] = {}
    shipped: dict[str, Model] = {}
    for found in search.find():
        try:
            model = _shared(found.path)
        except BitsBackError:
            continue
        if not model.accepts(shape, dtype, levels):
            continue
        if found.where != "shipped":
            own.setdefault(model.id, model)
        elif max(shape[:2]) <= LARGEST.get(model.name.removesuffix(FAST), max(shape[:2])):
            shipped.setdefault(model.id, model)
    rest = list(shipped.values())
    if effort == "fast":
        rest = [model for model in rest if model.name.endswith(FAST)] or rest
    elif effort == "normal":
        names = {model.name for model in rest}
        rest = [model for model in rest if not _stands_in(model.name, names)]
    return [*own.values(), *(model for model in rest if model.id not in own)]


def _stands_in(name: str, names: set[str]) -> bool:
    """Whether this is the fast stand-in for one of ``names``."""
    return name.endswith(FAST) and name.removesuffix(FAST) in names


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    try:
        info = path.stat()
    except OSError:
        return 0, 0
    return info.st_mtime_ns, info.st_size


@cache
def _identity(path: Path, stamp: tuple[int, int]) -> str:
    """The identity that a file claims; nothing if it cannot be read, or is no model file."""
    try:
        with path.open("rb") as stream:
            return file.claimed(stream.read(file.HEAD_SIZE))
    except OSError:
        return ""


def _shared(path: Path) -> Model:
    """One object for each installed model, so that its networks are built once, also for several threads."""
    with _loading:
        model = _loaded(path, _stamp(path))
    if isinstance(model, BitsBackError):
        raise type(model)(str(model))
    return model


@cache
def _loaded(path: Path, stamp: tuple[int, int]) -> Model | BitsBackError:
    """The model, or what is wrong with it: so that a file is read once, also one that is not sound."""
    try:
        return Model.load(path)
    except BitsBackError as error:
        return error


_loading = threading.Lock()


def shipped() -> frozenset[str]:
    """The identities of the models that everybody has."""
    places = [found.path for found in search.find() if found.where == "shipped"]
    return frozenset(filter(None, (_identity(path, _stamp(path)) for path in places)))


__all__ = ["Model", "candidates", "shipped"]
