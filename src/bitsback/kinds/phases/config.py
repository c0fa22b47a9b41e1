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
from bitsback.kinds.phases.network import LatentsSpec, Networks, PhasesSpec
from bitsback.nets.layers import NetSpec, Network

if TYPE_CHECKING:
    from bitsback.kinds.base import Trained


class PhasesConfig(
    ModelConfig, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag="phases"
):
    """Networks that see an image grid by grid, and in which order the channels of a pixel are coded.

    ``self_test``: SHA-256s in hex of the outputs of the trunks on the self-test's inputs; then, if there are latents,
    of encoder and decoder.
    """

    TAG: ClassVar[int] = 4

    likelihood: LikelihoodSpec
    phases: PhasesSpec
    latents: LatentsSpec | None = None
    colour: tuple[int, ...] = (0,)
    self_test: tuple[str, ...] = ()

    def check(self) -> None:
        super().check()
        if sorted(self.colour) != list(range(self.image.channels)):
            raise ModelError("the model's order of channels is not valid")
        self.likelihood.check(self.image.levels)
        self.phases.check(self.image.channels, self.image.levels > 2)
        if self.latents is not None:
            self.latents.check(self.image.shape, self.phases.map)
        elif self.phases.map:
            raise ModelError("a model without latents has no map")
        if len(self.self_test) != len(self.phases.trunks) + len(self.coders):
            raise ModelError("the model file lacks its self-test")
        if self.phases.macs(self.image.channels, self.likelihood.parameters) > MAX_PIXEL_MACS:
            raise ModelError("the model takes more computation than is allowed")

    @property
    def coders(self) -> dict[str, NetSpec]:
        """Encoder and decoder by name, if there are latents."""
        return {} if self.latents is None else {"encoder": self.latents.encoder, "decoder": self.latents.decoder}

    def check_tensors(self, tensors: Tensors) -> set[str]:
        names = set(self.networks(tensors).tensors())
        return names.union(*(network.tensors(name) for name, network in self.encoder_and_decoder(tensors).items()))

    def encoder_and_decoder(self, tensors: Tensors) -> dict[str, Network]:
        """These with their weights, by name; nothing without latents. ModelError if they are missing or unsound."""
        return {name: Network.from_tensors(spec, tensors, name) for name, spec in self.coders.items()}

    def networks(self, tensors: Tensors) -> Networks:
        """The networks with their weights; ModelError if they are missing or unsound."""
        return Networks(self.phases, self.image.channels, self.likelihood.parameters, tensors)

    def build(self, tensors: Tensors, engines: Sequence[str], threads: int, batch: int) -> Trained:
        from bitsback.kinds.phases import trained  # it loads the compiler, which reading a model does without

        if self.latents is None:
            return trained.Phases(self, tensors, engines, threads, batch)
        return trained.PhasesWithLatents(self, self.latents, tensors, engines, threads, batch)

    def with_self_test(self, tensors: Tensors) -> Self:
        from bitsback.nets.engine import self_test_hash

        networks = [*self.networks(tensors).trunks, *self.encoder_and_decoder(tensors).values()]
        hashes = tuple(map(self_test_hash, networks))
        return msgspec.structs.replace(self, self_test=hashes)

    @property
    def pace(self) -> int:
        return cost.pace(self.phases, self.image.channels, self.likelihood.parameters)

    def memory(self, count: int, shape: Shape, payload: int, threads: int) -> int:
        whole = (count, *shape)
        found = cost.decoding(self.phases, whole, payload, threads)
        return found if self.latents is None else found + cost.of_latents(self.latents, whole)

    @property
    def has_latents(self) -> bool:
        return self.latents is not None

    @property
    def sees_neighbours(self) -> bool:
        return True

    def sentence(self) -> str:
        words = "A model in phases: networks foresee an image grid by grid, from coarse to fine, each grid at once"
        return words + (f", given {self.latents.count} latents." if self.latents else ".")

    def facts(self) -> dict[str, Any]:
        macs = {"phases": self.phases.macs(self.image.channels, self.likelihood.parameters)}
        macs |= {name: spec.macs() for name, spec in self.coders.items()}
        count = self.latents.count if self.latents else 0
        return {"latents": count, "likelihood": str(self.likelihood), "macs": macs}

    def lines(self) -> Iterator[tuple[str, str]]:
        count = f"{self.latents.count} latents of {self.latents.bits} bits" if self.latents else "no latents"
        yield "model", f"{count}; {self.likelihood}"
        widths = " ".join(str(max(layer.weight_shape[0] for layer in trunk.layers if layer.weight_shape)) for trunk in
                          self.phases.trunks)  # fmt: skip
        macs = self.phases.macs(self.image.channels, self.likelihood.parameters)
        yield "phases", f"{macs:,} multiply-accumulates a pixel, trunks of width {widths}"
        for name, spec in self.coders.items():
            yield name, f"{spec.macs():,} multiply-accumulates an image"
