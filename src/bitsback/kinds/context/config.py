"""What a model file says of a model without latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bitsback.errors import ModelError
from bitsback.kinds.base import ModelConfig, Shape, Tensors
from bitsback.kinds.context import cost
from bitsback.kinds.context.network import ContextNetwork, ContextSpec
from bitsback.kinds.likelihoods import BernoulliSpec, LikelihoodSpec, MixtureSpec

if TYPE_CHECKING:
    from bitsback.kinds.context.trained import Context

MAX_PIXEL_MACS = 1 << 18
"""Multiply-accumulates of all networks for one pixel."""


class ContextConfig(
    ModelConfig, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag="context"
):
    """A context network, and in which order the channels of a pixel are coded."""

    TAG: ClassVar[int] = 2

    likelihood: LikelihoodSpec
    context: ContextSpec
    colour: tuple[int, ...] = (0,)

    def check(self) -> None:
        super().check()
        if sorted(self.colour) != list(range(self.image.channels)):
            raise ModelError("the model's order of channels is not valid")
        self.likelihood.check(self.image.levels)
        check_fit(self.context, self.likelihood, self.image.channels, self.image.levels)
        if self.context.map:
            raise ModelError("a model without latents has no feature map")
        if self.context.macs(self.likelihood.parameters) > MAX_PIXEL_MACS:
            raise ModelError("the model takes more computation than is allowed")

    def check_tensors(self, tensors: Tensors) -> set[str]:
        return set(self.network(tensors).tensors())

    def network(self, tensors: Tensors) -> ContextNetwork:
        """The context network with its weights; ModelError if they are missing or unsound."""
        return ContextNetwork.from_tensors(self.context, self.image.channels, self.likelihood.parameters, tensors)

    def build(self, tensors: Tensors, engines: Sequence[str], threads: int, batch: int) -> Context:
        from bitsback.kinds.context.trained import Context  # it loads the compiler, which reading a model does without

        return Context(self.network(tensors), self.image.levels, self.colour)

    @property
    def pace(self) -> int:
        return cost.pace(self.context, self.image.channels, self.likelihood.parameters)

    def memory(self, count: int, shape: Shape, payload: int, threads: int) -> int:
        return cost.decoding(self.context, (count, *shape), payload, threads)

    @property
    def sees_neighbours(self) -> bool:
        return True

    def sentence(self) -> str:
        return "A model without latents: a causal network foresees each sample from those coded before it."

    def facts(self) -> dict[str, Any]:
        macs = {"context": self.context.macs(self.likelihood.parameters)}
        return {"latents": 0, "likelihood": str(self.likelihood), "macs": macs}

    def lines(self) -> Iterator[tuple[str, str]]:
        yield "model", f"no latents; {self.likelihood}"
        yield from lines(self.context, self.likelihood)


def check_fit(context: ContextSpec, likelihood: LikelihoodSpec, channels: int, levels: int) -> None:
    """Raise ModelError unless the context network is sound, and one for such images and such a likelihood."""
    context.check(channels)
    if isinstance(likelihood, BernoulliSpec) and (context.anchors or context.sharp or context.has_reference):
        raise ModelError("the context network does not fit samples of two levels")
    if isinstance(likelihood, MixtureSpec) and any(len(each) != likelihood.components for each in context.anchors):
        raise ModelError("the context network does not have an anchor for each component")
    if context.border >= levels:
        raise ModelError("the context network's border is not a level of the model's images")


def lines(context: ContextSpec, likelihood: LikelihoodSpec) -> Iterator[tuple[str, str]]:
    """What there is to say of a context network: see :meth:`bitsback.kinds.base.ModelConfig.lines`."""
    hidden = "; ".join(dict.fromkeys("-".join(map(str, widths)) for widths in context.hidden))
    yield "context", f"{context.macs(likelihood.parameters):,} multiply-accumulates a pixel, hidden layers of {hidden}"
    if context.regression is not None:
        yield "references", f"regression on {len(context.regression.taps)} neighbours"
    elif context.median:
        yield "references", "median"
    if context.memories:
        yield "memories", f"{len(context.memories)}"
