"""The trainable form of the causal context network (:mod:`bitsback.kinds.context`): layers, starts, and its bits.

As in :mod:`bitsback.training.layers`, activations are real numbers ``u / 32``, and with ``quantise`` on the forward
pass computes exactly what the integer network will. Two things differ. Inputs are centred: a companded difference of
0 is the byte 128, and a network that sees the distance from there learns faster than one that sees a large common
offset. And the last layer works in a unit of its own for each parameter of a distribution, chosen so that a step of
Adam means about as much for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bitsback.kinds.context.network import MAX_OUTPUT, ContextNetwork, ContextSpec
from bitsback.kinds.likelihoods import LikelihoodSpec
from bitsback.nets.layers import MAX_WIDE_WEIGHT, Dense, Weights
from bitsback.training.layers import CENTRE, UNIT, QuantLayer, on_grid, real, straight_through
from bitsback.training.objectives import clip, objective
from bitsback.training.sampling import Batch

Gather = Callable[[NDArray[np.int64]], Batch]
"""From numbers of pixels to their features, samples and references: :class:`bitsback.training.sampling.Gatherer`."""

SLICE = 8192
"""Samples that :meth:`TrainableContext.total` takes at a time."""


class _Activation(torch.autograd.Function):
    """A hidden layer's rounding and clip, with the gradient of the clip."""

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        u = torch.floor(y * UNIT + 0.5)
        ctx.save_for_backward((u >= 0) & (u <= 255))
        return u.clamp_(0, 255).div_(UNIT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside


def activated(y: Tensor, last: bool, quantise: bool) -> Tensor:
    """What follows a linear map: real activations, but for a last layer what the integers stand for."""
    if not last:
        if quantise:
            return _Activation.apply(y)  # type: ignore[no-any-return]
        return F.hardtanh(y, 0, 255 / UNIT)  # a clip with a cheaper gradient than clamp's
    y = y * UNIT
    if quantise:  # before the clip, whose sums would not be exact on fractions
        y = straight_through(torch.floor(y + 0.5), y)
    return clip(y, -MAX_OUTPUT, MAX_OUTPUT)


class ContextLayer(QuantLayer):
    """One dense layer of the context network.

    ``units``, of the last layer only: how many integers one real unit of each output is. ``centre``: as of
    :class:`bitsback.training.layers.QuantLayer`.
    """

    def __init__(self, layer: Dense, units: Tensor | None = None, centre: float | Tensor = 0.0) -> None:
        super().__init__(layer, units is not None, centre)
        # Every layer is exported as if its unit were UNIT, so the last one's weights take up the difference
        self.gain = nn.Buffer(torch.ones(layer.outputs) if units is None else units / UNIT, persistent=False)

    def effective(self) -> tuple[Tensor, Tensor]:
        """Weight and bias in units of :data:`UNIT`, for inputs that are not centred."""
        bias = self.offset()
        return (self.weight * self.gain[:, None], bias * self.gain) if self.last else (self.weight, bias)

    @torch.no_grad()
    def integers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weight, bias and shift, as float tensors."""
        # In double precision, so that what started from integers comes back to them
        weight, gain = self.weight.double(), self.gain.double()
        bias = self.bias.double() - (weight * self.centre).sum(1)
        w, b, shift = on_grid(weight * gain[:, None], bias * gain, MAX_WIDE_WEIGHT, half=True)
        return w.float(), b.float(), shift.float()

    @torch.no_grad()
    def start_from(self, integers: Weights) -> None:
        """The inverse of :meth:`export`, but perhaps for the last bit of a bias beyond 2^23."""
        (weight, bias), gain = (part.double() for part in real(integers)), self.gain.double()
        self.weight.copy_(weight / gain[:, None])
        self.bias.copy_((bias + (weight * self.centre).sum(1)) / gain)

    def activate(self, y: Tensor) -> Tensor:
        """What follows the linear map."""
        return activated(y, self.last, self.quantise)


class TrainableContext(nn.Module):
    """The context networks of all channels of a model.

    Args:
        spec: features, widths of the layers, and the channels of the feature map.
        channels: of the image. likelihood: of its samples.
    """

    def __init__(self, spec: ContextSpec, channels: int, likelihood: LikelihoodSpec) -> None:
        super().__init__()
        spec.check(channels)
        self.spec, self.likelihood = spec, likelihood
        self.objective = objective(likelihood)
        units = self.objective.units(spec)
        self.networks = nn.ModuleList()
        for channel in range(channels):
            layers = spec.layers(channel, likelihood.parameters)
            last = len(layers) - 1
            self.networks.append(
                nn.Sequential(
                    *(
                        ContextLayer(layer, units if i == last else None, 0.0 if i else CENTRE)
                        for i, layer in enumerate(layers)
                    )
                )
            )
        with torch.no_grad():
            for network in self.layers():
                network[-1].weight.mul_(0.1)
                network[-1].bias[:] = self.objective.start(spec) / units

    def layers(self) -> list[list[ContextLayer]]:
        """The layers of each channel's network."""
        return [[m for m in network.modules() if isinstance(m, ContextLayer)] for network in self.networks]

    def quantise(self, on: bool) -> None:
        """Put the quantisation into the loop, or take it out."""
        for layer in (layer for network in self.layers() for layer in network):
            layer.quantise = on

    def forward(self, channel: int, inputs: Tensor) -> Tensor:
        """Parameters of samples of ``channel``, (n, parameters), in the integers' units.

        ``inputs``: (n, features + map), real activations, which are integers / :data:`UNIT`.
        """
        return self.networks[channel](inputs)  # type: ignore[no-any-return]

    def nats(self, out: Tensor, x: Tensor, reference: Tensor | None = None) -> Tensor:
        """-log p(x) of each sample, (n,), for ``x`` float (n,).

        ``out``: (n, parameters) from :meth:`forward`. ``reference``: (n, 1) or (n, K), what means are counted from, in
        sixteenths of a level; None for a model without references.
        """
        return self.objective.nats(out, x, reference, self.spec.lowest_scale)

    def total(
        self,
        channel: int,
        gather: Gather,
        picks: NDArray[np.int64],
        weights: NDArray[np.float32] | None = None,
        maps: Tensor | None = None,
    ) -> Tensor:
        """Weighted sum of the nats of the samples of some pixels, (), computed in slices that fit the caches.

        The gradient for the weights and for ``maps`` is computed along with the sum, slice by slice, as nothing but a
        factor can come between: so no activation is kept, and it takes about half the time of the usual way.

        Args:
            gather: gives the features, samples and references of pixels by number.
            picks: numbers of pixels. weights: how much each of them counts; None: 1.
            maps: the feature maps, (pixels, map), of which ``picks`` takes rows; None without latents.
        """
        parameters = [t for layer in self.layers()[channel] for t in layer.exact()]
        result: Tensor = _Total.apply(self, channel, gather, picks, weights, maps, *parameters)
        return result

    @torch.no_grad()
    def start_from(self, network: ContextNetwork) -> None:
        """Take over the weights of an integer network of the same specification."""
        for layers, weights in zip(self.layers(), network.weights, strict=True):
            for layer, integers in zip(layers, weights, strict=True):
                layer.start_from(integers)

    @torch.no_grad()
    def grow_from(self, network: ContextNetwork) -> None:
        """Take over the weights of an integer network that is the same but smaller: it sees some of the features, and
        its layers are as many, but narrower. What there is more begins without effect, so that what it computes is the
        same (the idea of Chen, Goodfellow & Shlens, "Net2Net", arXiv 1511.05641)."""
        smaller = TrainableContext(network.spec, network.channels, self.likelihood)
        smaller.start_from(network)
        for channel, (layers, known) in enumerate(zip(self.layers(), smaller.layers(), strict=True)):
            features = [self.spec.features[channel].index(one) for one in network.spec.features[channel]]
            split = len(self.spec.features[channel])
            inputs = torch.tensor([*features, *range(split, split + self.spec.map)])
            for layer, old in zip(layers, known, strict=True):
                outputs = len(old.weight)
                layer.weight[:outputs] = 0
                layer.weight[:outputs, inputs] = old.weight
                layer.bias[:outputs] = old.bias
                inputs = torch.arange(outputs)

    def export(self) -> list[list[Weights]]:
        """For each channel, the integers of each layer as stored in a model file."""
        return [[layer.export() for layer in network] for network in self.layers()]


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        net: TrainableContext,
        channel: int,
        gather: Gather,
        picks: NDArray[np.int64],
        weights: NDArray[np.float32] | None,
        maps: Tensor | None,
        *parameters: Tensor,
    ) -> Tensor:
        learning = any(ctx.needs_input_grad)
        leaves = [w.detach().requires_grad_(learning) for w in parameters]
        gradient = None if maps is None else torch.zeros_like(maps)
        total = torch.zeros((), device=leaves[0].device)
        first, *rest = net.layers()[channel]
        split = len(net.spec.features[channel])
        for i in range(0, len(picks), SLICE):
            chosen = picks[i : i + SLICE]
            features, x, reference = gather(chosen)
            with torch.set_grad_enabled(learning):
                y = F.linear(features[channel], leaves[0][:, :split], leaves[1])
                rows = None
                if maps is not None:
                    index = torch.from_numpy(chosen).to(maps.device)
                    rows = maps.detach().index_select(0, index).requires_grad_(learning)
                    y = torch.addmm(y, rows, leaves[0][:, split:].t())
                y = first.activate(y)
                for k, layer in enumerate(rest, 1):
                    y = layer.activate(F.linear(y, leaves[2 * k], leaves[2 * k + 1]))
                nats = net.nats(y, x[:, channel].contiguous(), reference[:, channel].contiguous())
                counts = None if weights is None else torch.from_numpy(weights[i : i + SLICE]).to(nats.device)
                nats = nats.sum() if counts is None else nats @ counts
            total += nats.detach()
            if learning:
                nats.backward()  # type: ignore[no-untyped-call]
                if gradient is not None and rows is not None and rows.grad is not None:
                    gradient.index_copy_(0, index, rows.grad)
        if learning:
            ctx.has_maps = gradient is not None
            ctx.save_for_backward(*(leaf.grad for leaf in leaves), *([] if gradient is None else [gradient]))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = [gradients[0] * part for part in ctx.saved_tensors]
        return None, None, None, None, None, saved.pop() if ctx.has_maps else None, *saved
