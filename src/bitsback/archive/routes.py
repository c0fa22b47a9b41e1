"""How images become bytes: which models there are, and one face for models, predictor and plain samples.

Models come from a :class:`Library`, so that a caller (or a test) decides what is on the shelf; the default library
holds the shipped models and whatever the search path adds.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitsback.archive.members import RouteCode, Shape
from bitsback.errors import FormatError, ModelError, ModelNotFoundError

Images = NDArray[Any]
"""(n, H, W, C), uint8 or uint16, C-contiguous."""


class ModelLike(Protocol):
    """What the archive asks of a model; :class:`bitsback.models.Model` is one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def levels(self) -> int: ...
    def accepts(self, shape: Shape, dtype: Any, levels: int | None) -> bool: ...
    def encode(self, images: NDArray[np.uint8], threads: int = 1) -> bytes: ...
    def decode(
        self, payload: bytes, count: int, shape: Shape, dtype: Any = ..., threads: int = 1
    ) -> NDArray[np.uint8]: ...


class Library:
    """Where models are looked for: those given here, then (unless ``shipped=False``) the zoo and the search path.

    With ``forced``, the given models are used wherever they fit, even where something else would be smaller.
    ``load`` makes a model of the bytes of a model file, by default :meth:`bitsback.models.Model.from_bytes`.

    >>> Library(shipped=False).candidates((28, 28, 1), "uint8", None)
    []
    """

    def __init__(
        self,
        models: Sequence[ModelLike] = (),
        *,
        shipped: bool = True,
        forced: bool = False,
        load: Callable[[bytes], ModelLike] | None = None,
    ) -> None:
        self._models = {model.id: model for model in models}
        self.given = tuple(models)
        self.forced = forced
        self._shipped = shipped
        self._load = load

    def candidates(self, shape: Shape, dtype: str, levels: int | None, effort: str = "normal") -> list[ModelLike]:
        """Models worth trying on images of this shape, type and number of levels (2, or None for any).

        Of the installed ones it takes an ``effort`` to try some: see :func:`bitsback.models.candidates`.
        """
        if self._shipped and not self.given:
            from bitsback import models

            found = models.candidates(shape, dtype, levels, effort)
            return [model for model in found if levels is None or model.levels == levels]
        return [model for model in self.given if model.accepts(shape, dtype, levels)]

    def find(self, model_id: str) -> ModelLike:
        """The model with this SHA-256 (64 hex digits); ModelNotFoundError if it is nowhere."""
        if model_id in self._models:
            return self._models[model_id]
        if not self._shipped:
            raise ModelNotFoundError(f"the model sha256:{model_id} is not at hand")
        from bitsback.models import Model

        model: ModelLike = Model.find(model_id)
        if model.id != model_id:
            raise ModelError(f"asked for model {model_id} and was given {model.id}")
        self._models[model_id] = model
        return model

    def add_file(self, model_id: str, data: bytes) -> None:
        """Take a model out of an archive that embeds it; ModelError if the file is not the one that it is called."""
        if model_id in self._models:
            return
        if self._load is None:
            from bitsback.models import Model

            self._load = Model.from_bytes
        model = self._load(data)
        if model.id != model_id:
            raise ModelError(f"the embedded model calls itself {model_id} but is {model.id}")
        self._models[model_id] = model


class ModelRoute:
    """A model's coding."""

    code = RouteCode.MODEL

    def __init__(self, model: ModelLike) -> None:
        self.model = model
        self.label = f"model {model.name}"

    def accepts(self, shape: Shape) -> bool:
        """Whether images that it takes could also have this shape."""
        return self.model.accepts(shape, np.uint8, self.model.levels)

    def encode(self, images: Images, threads: int = 1) -> bytes:
        return self.model.encode(images, threads)

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: str, threads: int = 1) -> Images:
        return self.model.decode(payload, count, shape, dtype, threads)


class PredictorRoute:
    """What needs no model and takes every image: :mod:`bitsback.kinds.adaptive`."""

    code = RouteCode.PREDICTOR
    label = "predictor"
    model = None

    def accepts(self, shape: Shape) -> bool:
        return True

    def encode(self, images: Images, threads: int = 1) -> bytes:
        from bitsback.kinds.adaptive import payload as predictor

        return predictor.encode(images)

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: str, threads: int = 1) -> Images:
        from bitsback.kinds.adaptive import payload as predictor

        return predictor.decode(payload, count, shape, np.dtype(dtype))


class PlainRoute:
    """The samples as they are, for images that nothing makes smaller."""

    code = RouteCode.PLAIN
    label = "plain"
    model = None

    def accepts(self, shape: Shape) -> bool:
        return True

    def encode(self, images: Images, threads: int = 1) -> bytes:
        return little_endian(images)

    def decode(self, payload: bytes, count: int, shape: Shape, dtype: str, threads: int = 1) -> Images:
        native = np.dtype(dtype)
        if len(payload) != count * shape[0] * shape[1] * shape[2] * native.itemsize:
            raise FormatError("plain samples do not fill their images")
        return np.frombuffer(payload, native.newbyteorder("<")).reshape(count, *shape).astype(native)


Route = ModelRoute | PredictorRoute | PlainRoute


def little_endian(images: Images) -> bytes:
    """The samples in C order, little-endian: what checks are taken over.

    >>> little_endian(np.array([[[[258]]]], np.uint16))
    b'\\x02\\x01'
    """
    return np.ascontiguousarray(images, images.dtype.newbyteorder("<")).tobytes()


def route_of(code: RouteCode, model: bytes | None, library: Library) -> Route:
    """The route that decodes a section with this code and model identity."""
    if code == RouteCode.MODEL and model is not None:
        return ModelRoute(library.find(model.hex()))
    return PredictorRoute() if code == RouteCode.PREDICTOR else PlainRoute()
