"""Where coders are found: by what an archive calls them, and by what they take.

Models come from a :class:`Library`, so that a caller (or a test) decides what is on the shelf; the default library
holds the shipped models and whatever the search path adds. Kinds without weights are always there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bitsback import kinds
from bitsback.errors import FormatError, ModelError, ModelNotFoundError
from bitsback.kinds.base import Coder, Shape

PLAIN, ADAPTIVE, FILTERED = kinds.plain.CODER, kinds.adaptive.CODER, kinds.filtered.CODER
JPEG, ADAPTIVES = kinds.jpeg.CODER, kinds.adaptive.BY_EFFORT


def kind_name(tag: int) -> str:
    """What a kind is called, by what an archive calls it."""
    return kinds.NAMES.get(tag, f"kind {tag}")


class ModelCoder(Coder, Protocol):
    """A coder with weights; :class:`bitsback.models.Model` is one."""

    @property
    def data(self) -> bytes:
        """The model file."""


class Library:
    """Where models are looked for: those given here, then (unless ``shipped=False``) the zoo and the search path.

    With ``forced``, the given models are used wherever they fit, even where something else would be smaller.
    ``load`` makes a model of the bytes of a model file, by default :meth:`bitsback.models.Model.from_bytes`.

    >>> Library(shipped=False).candidates((28, 28, 1), "uint8", None)
    []
    """

    def __init__(
        self,
        models: Sequence[ModelCoder] = (),
        *,
        shipped: bool = True,
        forced: bool = False,
        load: Callable[[bytes], ModelCoder] | None = None,
    ) -> None:
        self._models: dict[str, ModelCoder] = {model.id: model for model in models}
        self.given = tuple(models)
        self.forced = forced
        self._shipped = shipped
        self._load = load

    def afresh(self, *more: ModelCoder) -> Library:
        """One like this with ``more`` models, without those that archives have brought along since."""
        return Library((*self.given, *more), shipped=self._shipped, forced=self.forced, load=self._load)

    def candidates(self, shape: Shape, dtype: str, levels: int | None, effort: str = "normal") -> list[ModelCoder]:
        """Models worth trying on images of this shape, type and number of levels (2, or None for any).

        Of the installed ones it takes an ``effort`` to try some: see :func:`bitsback.models.candidates`.
        """
        if self._shipped and not self.given:
            from bitsback import models

            found = models.candidates(shape, dtype, levels, effort)
            return [model for model in found if levels is None or model.levels == levels]
        return [model for model in self.given if model.accepts(shape, dtype, levels)]

    def is_own(self, coder: Coder) -> bool:
        """Whether it is a model that others do not have: neither without weights nor shipped."""
        if not coder.id:
            return False
        from bitsback import models

        return coder.id not in models.shipped()

    def coder(self, tag: int, identity: str) -> Coder:
        """The coder that an archive calls so: a kind, and the SHA-256 of a model (hex) or nothing.

        Raises:
            FormatError: there is no such kind. ModelNotFoundError: the model is nowhere.
        """
        if not identity:
            if tag not in kinds.WITHOUT_WEIGHTS:
                raise FormatError(f"images are coded by kind {tag}, which is unknown to this version")
            return kinds.WITHOUT_WEIGHTS[tag]
        model = self.find(identity)
        if model.tag != tag:
            raise FormatError(f"images are coded by kind {tag}, and the model {model.name} is of kind {model.tag}")
        return model

    def find(self, identity: str) -> ModelCoder:
        """The model with this SHA-256 (64 hex digits); ModelNotFoundError if it is nowhere."""
        if identity in self._models:
            return self._models[identity]
        if not self._shipped:
            raise ModelNotFoundError(f"the model sha256:{identity} is not at hand")
        from bitsback.models import Model

        model = Model.find(identity)
        if model.id != identity:
            raise ModelError(f"asked for model {identity} and was given {model.id}")
        self._models[identity] = model
        return model

    def add_file(self, identity: str, data: bytes) -> None:
        """Take a model out of an archive that embeds it; the errors of :meth:`read_file`."""
        if identity not in self._models:
            self._models[identity] = self.read_file(identity, data)

    def read_file(self, identity: str, data: bytes) -> ModelCoder:
        """The model in a file that an archive embeds; ModelError if it is not the one that it is called."""
        if self._load is None:
            from bitsback.models import Model

            self._load = Model.from_bytes
        model = self._load(data)
        if model.id != identity:
            raise ModelError(f"the embedded model calls itself {identity} but is {model.id}")
        return model


__all__ = ["ADAPTIVE", "ADAPTIVES", "FILTERED", "JPEG", "PLAIN", "Library", "ModelCoder"]
