"""What a model file says of a model in phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from bitsback.errors import ModelError
from bitsback.kinds.base import ModelConfig, Shape, Tensors
from bitsback.kinds.context.config import MAX_PIXEL_MACS
from bitsback.kinds.likelihoods import LikelihoodSpec
from bitsback.kinds.phases import cost
from bitsback.kinds.phases.network import Networks, PhasesSpec

if TYPE_CHECKING:
    from bitsback.kinds.phases.trained import Phases


class PhasesConfig(
    ModelConfig, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag="phases"
):
    """Networks that see an image grid by grid, and in which order the channels of a pixel are coded.

    ``self_test``: SHA-256s in hex of the outputs of the trunks on the self-test's inputs.
    """

    TAG: ClassVar[int] = 4

    likelihood: LikelihoodSpec
    phases: PhasesSpec
    colour: tuple[int, ...] = (0,)
    self_test: tuple[str, ...] = ()

    def check(self) -> None:
        super().check()
        if sorted(self.colour) != list(range(self.image.channels)):
            raise ModelError("the model's order of channels is not valid")
        self.likelihood.check(self.image.levels)
        self.phases.check(self.image.channels, self.image.levels > 2)
        if len(self.self_test) != len(self.phases.trunks):
            raise ModelError("the model file lacks its self-test")
        if self.phases.macs(self.image.channels, self.likelihood.parameters) > MAX_PIXEL_MACS:
            raise ModelError("the model takes more computation than is allowed")

    def check_tensors(self, tensors: Tensors) -> set[str]:
        return set(self.networks(tensors).tensors())

    def networks(self, tensors: Tensors) -> Networks:
        """The networks with their weights; ModelError if they are missing or unsound."""
        return Networks(self.phases, self.image.channels, self.likelihood.parameters, tensors)

    def build(self, tensors: Tensors, engines: Sequence[str], threads: int, batch: int) -> Phases:
        from bitsback.kinds.phases.trained import Phases  # it loads the compiler, which reading a model does without

        return Phases(self, tensors, engines, threads, batch)

    def with_self_test(self, tensors: Tensors) -> Self:
        from bitsback.nets.engine import self_test_hash

        hashes = tuple(self_test_hash(trunk) for trunk in self.networks(tensors).trunks)
        return msgspec.structs.replace(self, self_test=hashes)

    @property
    def pace(self) -> int:
        return cost.pace(self.phases, self.image.channels, self.likelihood.parameters)

    def memory(self, count: int, shape: Shape, payload: int, threads: int) -> int:
        return cost.decoding(self.phases, (count, *shape), payload, threads)

    @property
    def sees_neighbours(self) -> bool:
        return True

    def sentence(self) -> str:
        return "A model in phases: networks foresee an image grid by grid, from coarse to fine, each grid at once."

    def facts(self) -> dict[str, Any]:
        macs = {"phases": self.phases.macs(self.image.channels, self.likelihood.parameters)}
        return {"latents": 0, "likelihood": str(self.likelihood), "macs": macs}

    def lines(self) -> Iterator[tuple[str, str]]:
        yield "model", f"no latents; {self.likelihood}"
        widths = " ".join(str(max(layer.weight_shape[0] for layer in trunk.layers if layer.weight_shape)) for trunk in
                          self.phases.trunks)  # fmt: skip
        macs = self.phases.macs(self.image.channels, self.likelihood.parameters)
        yield "phases", f"{macs:,} multiply-accumulates a pixel, trunks of width {widths}"
