"""A model as the archive and the user meet it: loaded by name, path or identity; images in, payload out."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bitsback.errors import CodecError, ModelError, ModelNotFoundError
from bitsback.models import file
from bitsback.models.file import SUFFIX, Config
from bitsback.nets.engine import ENGINES

if TYPE_CHECKING:
    from bitsback.models.vae import VAE
    from bitsback.nets.context import ContextNetwork

ZOO = Path(__file__).parent / "zoo"
RETIRED = "retired"
"""The folder of the zoo for models of earlier versions: found by identity for ever, but not offered any more."""

SEARCH_PATH_VARIABLE = "BITSBACK_MODEL_PATH"

FAST = "-fast"
"""How the names of models end that give up some size for speed."""

LARGEST = {"thumbnails": 128}
"""Pixels an edge up to which a model is worth trying, where it takes larger images too but others are made for them."""


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
        """A model by the path of its file, or by the name of one that ships with the package or is on the search path
        (the folders in the environment variable ``BITSBACK_MODEL_PATH``).

        Raises:
            ModelNotFoundError: there is none. ModelError: it is not a sound model file.
        """
        path = Path(name_or_path)
        if path.suffix != SUFFIX or not path.is_file():
            named = [p for p in installed() if p.stem == str(name_or_path)]
            if not named:
                known = ", ".join(sorted({p.stem for p in installed()}))
                raise ModelNotFoundError(f"no model {str(name_or_path)!r}: not a {SUFFIX} file, nor one of {known}")
            path = named[0]
        try:
            return cls(path.read_bytes(), engines, threads, batch)
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror}") from None
        except ModelError as error:
            raise type(error)(f"{path}: {error}") from None

    @classmethod
    def find(cls, identity: str) -> Model:
        """The model with the SHA-256 ``identity`` (hex), installed or retired.

        Raises:
            ModelNotFoundError: none has it.
        """
        for path in [*installed(), *sorted((ZOO / RETIRED).glob(f"*{SUFFIX}"))]:
            if _identity(path, path.stat().st_mtime_ns) == identity:
                return _shared(path)
        raise ModelNotFoundError(
            f"the model sha256:{identity} is not installed: put its file into a folder of {SEARCH_PATH_VARIABLE}"
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
            from bitsback.models import tiles

            return tiles.encode(self._context, images[..., list(self.config.colour)], self.levels, threads)
        from bitsback.models import chain

        return chain.encode(self.vae, np.ascontiguousarray(images))

    def decode(
        self, payload: bytes, count: int, shape: tuple[int, int, int] | None = None, threads: int = 1
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
            from bitsback.models import tiles

            coded = tiles.decode(self._context, payload, (count, *shape), self.levels, threads)
            back = [self.config.colour.index(c) for c in range(shape[2])]
            return np.ascontiguousarray(coded[..., back])
        from bitsback.models import chain

        return chain.decode(self.vae, payload, count)

    def elbo_bits(self, images: npt.NDArray[np.uint8], seed: int = 0) -> npt.NDArray[np.float64]:
        """The negative ELBO of each image in bits, float64 (n,): what a long chain spends on it, on average.

        One sample of the latents an image; ``seed`` chooses it. Exact for a model without latents.
        """
        if self.config.kind == "context":
            from bitsback.models import tiles

            return tiles.bits(self._context, images[..., list(self.config.colour)], self.levels)
        from bitsback.models import chain

        return chain.elbo_bits(self.vae, images, seed)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == 3 and all(mine in (0, axis) for mine, axis in zip(self.shape, shape, strict=True))

    @property
    def _context(self) -> ContextNetwork:
        """The network of a model without latents."""
        with self._lock:
            if self._network is None:
                from bitsback.models.vae import context_network

                self._network = context_network(self.config, self._tensors)
            if self._network is None:
                raise ModelError(f"the model {self.name} has no context network")
            return self._network

    @property
    def vae(self) -> VAE:
        """The distributions, on an engine that passed the self-test."""
        with self._lock:
            if self._vae is None:
                from bitsback.models.vae import VAE

                self._vae = VAE(self.config, self._tensors, *self._engine_options)
            return self._vae

    def __repr__(self) -> str:
        return f"<Model {self.name}, sha256:{self.id[:12]}>"


def installed() -> list[Path]:
    """The model files that ship with the package or lie on the search path, shipped ones first."""
    folders = [ZOO, *(Path(p) for p in os.environ.get(SEARCH_PATH_VARIABLE, "").split(os.pathsep) if p)]
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.glob(f"*{SUFFIX}"))]


def candidates(
    shape: tuple[int, int, int], dtype: npt.DTypeLike, levels: int | None = None, effort: str = "normal"
) -> list[Model]:
    """The installed models worth trying on such images; the first three arguments are as for :meth:`Model.accepts`.

    ``effort`` is "max" for all of them; "fast" for those called ``...-fast``, if there are any that fit; "normal" for
    the others, and for a fast one only if that which it stands in for is not there.
    """
    fitting: dict[str, Model] = {}
    for path in installed():
        model = _shared(path)
        if model.accepts(shape, dtype, levels) and max(shape[:2]) <= LARGEST.get(model.name, max(shape[:2])):
            fitting.setdefault(model.id, model)
    found = list(fitting.values())
    names = {model.name for model in found}
    if effort == "fast":
        return [model for model in found if model.name.endswith(FAST)] or found
    if effort == "normal":
        return [model for model in found if not _stands_in(model.name, names)]
    return found


def _stands_in(name: str, names: set[str]) -> bool:
    """Whether this is the fast stand-in for one of ``names``."""
    return name.endswith(FAST) and name.removesuffix(FAST) in names


@cache
def _identity(path: Path, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shared(path: Path) -> Model:
    """One object for each installed model, so that its networks are built once, also for several threads."""
    with _loading:
        return _loaded(path)


@cache
def _loaded(path: Path) -> Model:
    return Model.load(path)


_loading = threading.Lock()


__all__ = ["Config", "Model", "candidates", "installed"]
