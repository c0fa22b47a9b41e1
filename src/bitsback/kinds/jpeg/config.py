"""What a model file says of a start for some camera's or encoder's JPEG files, instead of that of the package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bitsback.errors import ModelError
from bitsback.kinds.base import ImageSpec, ModelConfig, Shape, Tensors
from bitsback.kinds.jpeg import cost

if TYPE_CHECKING:
    from bitsback.kinds.jpeg.trained import Jpegs


BLOCKS = ImageSpec(8, 8, 1, 256)
"""What such a model takes, as far as this can be said of coefficients."""


class JpegConfig(ModelConfig, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag="jpeg"):
    """Where coding starts, by what is different from ``base``: the SHA-256 of the start that all have."""

    TAG: ClassVar[int] = 5
    DTYPE: ClassVar[str] = "uint16"

    base: str

    def check(self) -> None:
        from bitsback.kinds.jpeg.start import SHA256

        super().check()
        if self.image != BLOCKS:
            raise ModelError("a model of kind jpeg takes coefficients, nothing else")
        if self.base != SHA256:
            raise ModelError("the model begins where no version does that is known here")

    def check_tensors(self, tensors: Tensors) -> set[str]:
        from bitsback.kinds.jpeg import tables as t

        due = {"slots": (np.int8, t.SLOTS), "weights": (np.int16, t.SETS * t.LANES), "single": (np.int8, t.SINGLE)}
        for name, (dtype, count) in due.items():
            if name not in tensors or tensors[name].dtype != dtype or tensors[name].shape != (count,):
                raise ModelError(f"the model file lacks {name} of the right size and type")
        return set(due)

    def build(self, tensors: Tensors, engines: Sequence[str], threads: int, batch: int) -> Jpegs:
        from bitsback.kinds.jpeg.trained import Jpegs  # it loads the compiler, which reading a model does without

        return Jpegs(self, tensors)

    @property
    def takes(self) -> str:
        return "coefficients of JPEG files"

    @property
    def pace(self) -> int:
        return cost.PACE

    def memory(self, count: int, shape: Shape, payload: int, threads: int) -> int:
        return cost.decoding(count * int(np.prod(shape)), payload, threads)

    @property
    def sees_neighbours(self) -> bool:
        return True

    def sentence(self) -> str:
        return "A start for JPEG files like those that it was trained on: what to expect of their coefficients."

    def facts(self) -> dict[str, Any]:
        return {"latents": 0}

    def lines(self) -> Iterator[tuple[str, str]]:
        yield "model", "where the coding of coefficients starts; it goes on learning from each file"
