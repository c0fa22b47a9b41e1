"""A model as the archive and the user meet it: loaded by name, path or identity; images in, payload out."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bitsback.errors import BitsBackError, CodecError, ModelError, ModelNotFoundError
from bitsback.models import file, search
from bitsback.models.file import SUFFIX, Config
from bitsback.nets.engine import ENGINES

if TYPE_CHECKING:
    from bitsback.kinds.context.network import ContextNetwork
    from bitsback.kinds.vae.distributions import VAE

FAST = "-fast"
"""How the names of models end that give up some size for speed."""

LARGEST = {"thumbnails": 128, "digits": 64}
"""Pixels an edge up to which a model is worth trying, where it takes larger images too but others are made for them."""

BATCH_VALUES = 1 << 24
"""Values that a layer gives for all images that an engine is given at once, at most: what bounds its memory."""


class Model:
    """A trained model.

    Loading reads and checks the file; the networks are built, and admitted by the model's self-test, at the first
    use. One object may be used from several threads at once.

    Attributes:
        id: SHA-256 of the model file, hex.
        config: its configuration.
        data: the model file, bytes.

    >>> model = Model.load("digits-binary")
    >>> model.name, model.shape, model.levels
    ('digits-binary', (28, 28, 1), 2)
    """

    def __init__(self, data: bytes, engines: Sequence[str] = ENGINES, threads: int = 1, batch: int = 1 << 12) -> None:
        self.data = data
        self.id = hashlib.sha256(data).hexdigest()
        self.config, self._tensors = file.parse(data)
        self._lock = threading.Lock()
        self._vae: VAE | None = None
        self._network: ContextNetwork | None = None
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
        """The model with the SHA-256 ``identity`` (hex), installed or retired.

        Raises:
            ModelNotFoundError: none has it.
        """
        for found in search.find(retired=True):
            if _identity(found.path, _stamp(found.path)) == identity:
                return _shared(found.path)
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
        height, width, channels = self.shape
        colour = ("grey", "grey and alpha", "RGB", "RGBA")[channels - 1]
        size = f"{height or 'any'}x{width or 'any'}" if height or width else "any size"
        return f"{size} {colour}, {'2 levels' if self.levels == 2 else '8 bits'}"

    @property
    def tag(self) -> int:
        """The payload format: see :class:`bitsback.kinds.base.Coder`, like the four below."""
        return {"context": 2, "vae": 3}[self.config.kind]

    learns = False

    @property
    def pace(self) -> int:
        """About how many samples one core decodes in a tenth of a second."""
        return 1 << 18

    def memory(self, count: int, shape: tuple[int, int, int], dtype: npt.DTypeLike, payload: int) -> int:
        """Bytes that decoding takes at most."""
        return 64 * count * shape[0] * shape[1] * shape[2] + payload + (64 << 20)

    def prove(self) -> None:
        """To come with the known answers."""

    def prepare(self) -> None:
        """Build the networks now, which else happens at the first use, and make sure that they run exactly here.

        Raises:
            InexactEngineError: they do not.
        """
        _ = self.context if self.config.kind == "context" else self.vae

    def accepts(self, shape: tuple[int, int, int], dtype: npt.DTypeLike, levels: int | None = None) -> bool:
        """Whether images of ``shape`` (height, width, channels) and ``dtype``, with so many values (None: any), fit."""
        return self._fits(shape) and np.dtype(dtype) == np.uint8 and (self.levels == 256 or levels == self.levels)

    def encode(self, images: npt.NDArray[np.uint8], threads: int = 1) -> bytes:
        """Code images, uint8 (n, height, width, channels) with n >= 1, into a payload.

        ``threads``: how many may work on tiles of large images. The payload does not depend on it.

        Raises:
            CodecError: the images are not the model's kind.
        """
        if images.ndim != 4 or not images.size or not self._fits(images.shape[1:]) or images.dtype != np.uint8:
            raise CodecError(f"the model {self.name} takes uint8 (n, *{self.shape}), not {images.dtype} {images.shape}")
        if self.levels == 2 and images.max() > 1:
            raise CodecError(f"the model {self.name} takes samples 0 and 1")
        if self.config.kind == "context":
            from bitsback.kinds.context import tiles

            return tiles.encode(self.context, images[..., list(self.config.colour)], self.levels, threads)
        from bitsback.kinds.vae import chain

        return chain.encode(self.vae, np.ascontiguousarray(images))

    def decode(
        self,
        payload: bytes,
        count: int,
        shape: tuple[int, int, int] | None = None,
        dtype: npt.DTypeLike = np.uint8,
        threads: int = 1,
    ) -> npt.NDArray[np.uint8]:
        """The inverse of :meth:`encode`: uint8 (count, height, width, channels). ``shape`` may be left out where the
        model's images have one size.

        Raises:
            FormatError, EmptyStackError: the payload is damaged.
        """
        shape = self.shape if shape is None else shape
        if not self._fits(shape) or min(shape) < 1:
            raise CodecError(f"the model {self.name} has images of shape {self.shape}, not {tuple(shape)}")
        if self.config.kind == "context":
            from bitsback.kinds.context import tiles

            coded = tiles.decode(self.context, payload, (count, *shape), self.levels, threads)
            back = [self.config.colour.index(c) for c in range(shape[2])]
            return np.ascontiguousarray(coded[..., back])
        from bitsback.kinds.vae import chain

        return chain.decode(self.vae, payload, count)

    def elbo_bits(self, images: npt.NDArray[np.uint8], seed: int = 0) -> npt.NDArray[np.float64]:
        """The negative ELBO of each image in bits, float64 (n,): what a long chain spends on it, on average.

        One sample of the latents an image; ``seed`` chooses it. Exact for a model without latents.
        """
        if self.config.kind == "context":
            from bitsback.kinds.context import tiles

            return tiles.bits(self.context, images[..., list(self.config.colour)], self.levels)
        from bitsback.kinds.vae import chain

        return chain.elbo_bits(self.vae, images, seed)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == 3 and all(mine in (0, axis) for mine, axis in zip(self.shape, shape, strict=True))

    @property
    def context(self) -> ContextNetwork:
        """The context network of a model without latents; ModelError if there is none."""
        with self._lock:
            if self._network is None:
                from bitsback.kinds.vae.distributions import context_network

                self._network = context_network(self.config, self._tensors)
            if self._network is None:
                raise ModelError(f"the model {self.name} has no context network")
            return self._network

    @property
    def vae(self) -> VAE:
        """The distributions, on an engine that passed the self-test."""
        with self._lock:
            if self._vae is None:
                from bitsback.kinds.vae.distributions import VAE

                engines, threads, batch = self._engine_options
                batch = max(1, min(batch, BATCH_VALUES // self.config.values))
                self._vae = VAE(self.config, self._tensors, engines, threads, batch)
            return self._vae

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
        elif max(shape[:2]) <= LARGEST.get(model.name, max(shape[:2])):
            shipped.setdefault(model.id, model)
    rest = list(shipped.values())
    if effort == "fast":
        rest = [model for model in rest if model.name.endswith(FAST)] or rest
    elif effort == "normal":
        names = {model.name for model in rest}
        rest = [model for model in rest if not _stands_in(model.name, names)]
    return [*own.values(), *(model for model in rest if model.id not in own)]


def shipped() -> frozenset[str]:
    """The identities of the models that come with the package."""
    found = [one for one in search.find() if one.where == "shipped"]
    return frozenset(_identity(one.path, _stamp(one.path)) for one in found)


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
    """The SHA-256 of a file; nothing if it cannot be read, or is too large for a model."""
    try:
        if stamp[1] > file.MAX_FILE:
            return ""
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
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


__all__ = ["Config", "Model", "candidates"]
