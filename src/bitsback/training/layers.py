"""Torch modules that learn integer networks: the layer list of :mod:`bitsback.nets.layers`, with gradients.

Activations are real numbers ``u / 32`` for the integer u in 0..255. With ``quantise`` on, the forward pass computes
exactly what the integer network will (weights on their integer grid, activations rounded and clipped) and the
backward pass treats rounding as the identity (the straight-through estimator of Bengio, Léonard & Courville,
arXiv 1308.3432). With it off only the clip remains, which trains faster and is a good first phase.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bitsback.nets.layers import (
    MAX_ACCUMULATOR,
    MAX_SHIFT,
    MAX_WEIGHT,
    MAX_WIDE_WEIGHT,
    Conv,
    Dense,
    Flatten,
    NetSpec,
    Network,
    Shuffle,
    Skip,
    Unflatten,
    Weights,
)

UNIT = 32.0
"""Integer activations to one real unit."""

Grids = Sequence[tuple[int, int, int]]
"""(images, height, width): see :class:`QuantNetwork`."""

BLUR = 0.25
"""What the rounding of an output's weights may add to it, at most, as a standard deviation, in integers; its own
rounding adds 0.29. Finer weights make model files a sixth larger, and images smaller by 0.01 %."""
TYPICAL = 64
"""How large activations are, in integers."""


def straight_through(exact: Tensor, smooth: Tensor) -> Tensor:
    """The value of ``exact`` with the gradient of ``smooth``."""
    return smooth + (exact - smooth).detach()


def in_the_loop(weight: Tensor, bias: Tensor, w: Tensor, b: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias with the values of integers, of a shift for each output, and gradients as if they were none."""
    scale = shift.exp2()
    shifts = scale.view(*scale.shape, *[1] * (w.dim() - scale.dim()))
    return straight_through(w / shifts, weight), straight_through(b / (scale * UNIT), bias)


@torch.no_grad()
def on_grid(weight: Tensor, bias: Tensor, limit: int, half: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Integer weight, bias and shift, as float tensors: the largest power-of-two scale that keeps the bounds. Wide
    weights have no digits that the rounding of what comes out would hide (:data:`BLUR`).

    ``weight`` (outputs, ...) and ``bias`` (outputs,) in real units; ``limit`` bounds the integer weights. ``half``:
    whether the accumulator needs room for the half of a step by which a floor becomes a rounding. What is on the grid
    already loses nothing.
    """
    flat = weight.flatten(1)
    largest, total = flat.abs().amax(1), flat.abs().sum(1) * 255 + bias.abs() * UNIT
    # Rounding may need a little more room than there is, or a little less: so what comes out of it is asked
    most = torch.minimum((limit + 0.5) / largest.clamp_min(1e-12), 1.01 * MAX_ACCUMULATOR / total.clamp_min(1e-12))
    shift = most.log2().floor().clamp(0, MAX_SHIFT)
    if limit > MAX_WEIGHT:
        enough = math.ceil(math.log2(math.sqrt(flat.shape[1] / 12) * TYPICAL / BLUR))
        there = flat * shift.exp2()[:, None]
        found = ((there - there.round()).abs() < 1 / 512).all(1)  # on that grid, but for the rounding of reals
        shift = torch.where(found, shift, shift.clamp_max(max(enough, 0)))
    w, b = _rounded(flat, bias, shift)
    added = (shift.exp2() / 2).floor() * half
    fits = (w.abs().amax(1) <= limit) & (w.abs().sum(1) * 255 + b.abs().maximum((b + added).abs()) < MAX_ACCUMULATOR)
    shift = (shift - (~fits).float()).clamp_min(0)
    w, b = _rounded(flat, bias, shift)
    return w.clamp(-limit, limit).view_as(weight), b, shift


def _rounded(weight: Tensor, bias: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (outputs, inputs) and bias as integers."""
    scale = shift.exp2()
    return (weight * scale[:, None]).round(), (bias * UNIT * scale).round()


def reduced(weight: NDArray[np.int64], bias: NDArray[np.int64], shift: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The same numbers of a layer's outputs, without the factors of two that all of an output's have: so a function has
    one form, whatever the scale that it was found at."""
    bits = np.bitwise_or.reduce(np.column_stack([weight.reshape(len(weight), -1), bias]), 1)
    lowest = np.where(bits == 0, 1 << MAX_SHIFT, bits & -bits)
    spare = np.minimum(shift, np.log2(lowest).astype(np.int64))
    return [weight >> spare.reshape(-1, *[1] * (weight.ndim - 1)), bias >> spare, shift - spare]


def exported(weight: Tensor, bias: Tensor, shift: Tensor, wide: bool = True) -> Weights:
    """The integers of a layer, given as float tensors, as stored in a model file."""
    w, b, s = reduced(*(t.cpu().numpy().astype(np.int64) for t in (weight, bias, shift)))
    kept = w.astype(np.int16) if wide else w.astype(np.int8)
    return Weights(kept, b.astype(np.int32), s.astype(np.uint8))


def real(integers: Weights) -> tuple[Tensor, Tensor]:
    """Weight and bias in real units, of inputs that are not centred."""
    weight, bias, shift = (torch.from_numpy(part.astype(np.float32)) for part in msgspec.structs.astuple(integers))
    scale = shift.exp2()
    return weight / scale.view(-1, *[1] * (weight.dim() - 1)), bias / (scale * UNIT)


_LEAST = torch.finfo(torch.float32).smallest_normal


def _where_above(gradient: Tensor, x: Tensor, threshold: float) -> Tensor:
    """``gradient`` where x is above a threshold, else 0: one pass over memory, where a mask takes three."""
    found: Tensor = torch.ops.aten.threshold_backward(gradient, x, threshold)
    return found


def _whole(y: Tensor) -> Tensor:
    """Activations as integers would be, in place."""
    return y.mul_(UNIT).round_().div_(UNIT)


class ReturningClip(torch.autograd.Function):
    """Clip to 0..top, with a gradient that still leads back from outside; and round to whole activations, if asked to.

    A plain clip has no gradient beyond its ends. In a hidden layer that is the nonlinearity; but a parameter of a
    distribution that has once left its range would stay there for good, however bad it is; and so would what a block
    adds to what it read. Here the gradient passes wherever descent moves the value towards the range.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, rounded: bool = False) -> Tensor:
        y = x.clamp(0, top)
        ctx.save_for_backward(x - y)
        return _whole(y) if rounded else y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (beyond,), (gradient,) = ctx.saved_tensors, gradients
        return _where_above(gradient, beyond * gradient, -_LEAST), None, None


class OpenClip(torch.autograd.Function):
    """The same with the gradient of a rectifier, as if there were no top: of an inner layer, which else would stay at
    its top for good."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, rounded: bool = False) -> Tensor:
        ctx.save_for_backward(x)
        y = x.clamp(0, top)
        return _whole(y) if rounded else y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        return _where_above(gradient, x, 0.0), None, None


class QuantLayer(nn.Module):
    """A convolution or dense layer of the integer kind; ``last`` marks the one that gives a network's output.

    ``centre``: what its inputs are counted from, one number or one for each; only for layers without padding.
    ``opened``: whether gradients pass from above the top. ``added``: whether the next layer adds this to what came
    before: a difference, counted from :data:`CENTRE`, for which the bottom is no rectifier. ``share``: what the weight
    of each input is multiplied by: 1 over how large it is, so that a step of Adam means about as much for each of
    them. ``pace``: how large steps are, next to those of other layers. Both are powers of two, as integers must come
    back from :meth:`start_from` as they were.
    """

    share: Tensor

    def __init__(
        self,
        layer: Conv | Dense,
        last: bool = False,
        centre: float | Tensor = 0.0,
        opened: bool = False,
        share: Tensor | None = None,
        added: bool = False,
        pace: float = 1.0,
    ) -> None:
        super().__init__()
        self.layer, self.opened, self.shared = layer, opened, share is not None or pace != 1
        self.returning = last or added
        shares = pace * (torch.ones(layer.inputs) if share is None else share)
        self.share = nn.Buffer(shares.view(1, -1, *[1] * (len(layer.weight_shape) - 2)), persistent=False)
        self.last = last
        self.centre = nn.Buffer(torch.as_tensor(centre, dtype=torch.float32), persistent=False)
        self.centred = bool(self.centre.any())
        self.quantise = False
        shape = layer.weight_shape
        fan_in = int(np.prod(shape[1:]))
        self.weight = nn.Parameter(torch.randn(shape) * (2.0 / fan_in) ** 0.5 / pace)
        self.bias = nn.Parameter(torch.zeros(shape[0]))

    def integers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weight, bias and shift, as float tensors: see :func:`on_grid`."""
        return on_grid(self.relative(), self.offset(), MAX_WIDE_WEIGHT if self.layer.wide else MAX_WEIGHT)

    def relative(self) -> Tensor:
        """The weight of inputs as they are."""
        weight: Tensor = self.weight
        return weight * self.share if self.shared else weight

    def offset(self) -> Tensor:
        """The bias for inputs that are not centred."""
        bias: Tensor = self.bias
        return bias - (self.relative().flatten(1) * self.centre).sum(1) if self.centred else bias

    def effective(self) -> tuple[Tensor, Tensor]:
        """Weight and bias for inputs that are not centred."""
        return self.relative(), self.offset()

    def exact(self) -> tuple[Tensor, Tensor]:
        """:meth:`effective`, on the integers' grid if the quantisation is in the loop."""
        weight, bias = self.effective()
        return in_the_loop(weight, bias, *self.integers()) if self.quantise else (weight, bias)

    def forward(self, x: Tensor, grids: Grids = ()) -> Tensor:
        """``grids``: see :class:`QuantNetwork`."""
        weight, bias = self.exact()
        if not isinstance(self.layer, Conv):
            y = F.linear(x, weight, bias)
        elif not grids:
            y = F.conv2d(x, weight, bias, self.layer.stride, self.layer.kernel // 2)
        elif self.layer.kernel == 1:
            y = F.linear(x, weight[:, :, 0, 0], bias)
        else:
            parts = zip(x.split([math.prod(grid) for grid in grids]), grids, strict=True)
            images = (part.view(*grid, -1).permute(0, 3, 1, 2) for part, grid in parts)
            found = [F.conv2d(one, weight, bias, padding=self.layer.kernel // 2) for one in images]
            y = torch.cat([one.permute(0, 2, 3, 1).flatten(0, 2) for one in found])
        return self.activate(y)

    def activate(self, y: Tensor) -> Tensor:
        """What follows the linear map."""
        if self.returning:
            return ReturningClip.apply(y, 255 / UNIT, self.quantise)  # type: ignore[no-any-return]
        if self.opened:
            return OpenClip.apply(y, 255 / UNIT, self.quantise)  # type: ignore[no-any-return]
        y = F.hardtanh(y, 0, 255 / UNIT)
        return straight_through((y * UNIT).round() / UNIT, y) if self.quantise else y

    @torch.no_grad()
    def start_from(self, integers: Weights) -> None:
        """The inverse of :meth:`export`, which gives the same integers again."""
        weight, bias = real(integers)
        self.weight.copy_(weight / self.share)
        self.bias.copy_(bias + (weight.flatten(1) * self.centre).sum(1) if self.centred else bias)

    def export(self) -> Weights:
        """The integers as stored in a model file."""
        return exported(*self.integers(), self.layer.wide)


SMALL = 0.4
"""How large weights begin, next to what keeps the size of activations."""

CENTRE = 128 / UNIT
"""The real activation that stands for a difference of 0."""


FEW = 8
"""Inputs of a layer whose weights take whole steps."""


def pace(layer: Conv | Dense) -> float:
    """Steps of a layer of many inputs are shorter: one of Adam's moves all weights of an output alike, and soon moves
    the output to where its rectifier lets nothing through, for good. (Yang & Hu, arXiv 2011.14522, say why rates of
    learning go with 1 / inputs.)"""
    return float(2.0 ** round(math.log2(min(1.0, FEW / math.prod(layer.weight_shape[1:])))))


class QuantNetwork(nn.Module):
    """The whole layer list as a torch module; input and output are real activations, (batch, *shape).

    ``centred``: its inputs are counted from :data:`CENTRE`. ``inner``: its output is what other layers read, not
    parameters of distributions. ``share``: of the first layer, see :class:`QuantLayer`.

    A network of convolutions of stride 1 takes images of several sizes at once, as rows (samples, channels) of *grids*,
    (images, height, width), one after the other: most of what it does there, it does to all of them in one operation.
    """

    def __init__(self, spec: NetSpec, centred: bool = False, inner: bool = False, share: Tensor | None = None) -> None:
        super().__init__()
        spec.shapes()
        self.spec = spec
        weighted = {i: layer for i, layer in enumerate(spec.layers) if isinstance(layer, Conv | Dense)}
        last, first = -1 if inner else max(weighted), min(weighted)
        added = {i - 1 for i, layer in enumerate(spec.layers) if isinstance(layer, Skip)}
        made = {
            i: QuantLayer(
                one,
                i == last,
                CENTRE * (centred and i == first),
                inner,
                share if i == first else None,
                i in added,
                pace(one) if inner and i != first else 1.0,
            )
            for i, one in weighted.items()
        }
        self.inner = inner
        self.layers = nn.ModuleDict({str(i): layer for i, layer in made.items()})
        with torch.no_grad():
            for one in made.values() if inner else ():  # what comes after is to be learnt, not to be undone
                one.weight.mul_(SMALL)
            for index in added & made.keys():  # what a block adds begins small, around nothing
                made[index].weight.mul_(0.3)
                made[index].bias[:] = CENTRE

    def weighted(self) -> dict[int, QuantLayer]:
        """The layers with weights, by their place in the list."""
        return {int(i): module for i, module in self.layers.items() if isinstance(module, QuantLayer)}

    @torch.no_grad()
    def start_from(self, network: Network, but: int = -1) -> None:
        """Take over the weights of an integer network of the same layers, except for the one at the place ``but``."""
        for index, module in self.weighted().items():
            if index != but:
                module.start_from(network.weights[index])

    def quantise(self, on: bool) -> None:
        """Put the quantisation into the loop, or take it out."""
        for module in self.weighted().values():
            module.quantise = on

    def forward(self, x: Tensor, grids: Grids = ()) -> Tensor:
        there = [x]
        for index, layer in enumerate(self.spec.layers):
            match layer:
                case Conv() | Dense():
                    x = self.layers[str(index)](x, grids)
                case Flatten():
                    x = x.flatten(1)
                case Unflatten(channels, height, width):
                    x = x.view(-1, channels, height, width)
                case Shuffle(factor):
                    x = F.pixel_shuffle(x, factor)
                case Skip(back):
                    x = x + there[-1 - back] - CENTRE
                    x = OpenClip.apply(x, 255 / UNIT) if self.inner else F.hardtanh(x, 0, 255 / UNIT)
            there.append(x)
        return x

    def export(self) -> Network:
        """The checked integer network; raises ModelError if it could overflow."""
        return Network(self.spec, {index: module.export() for index, module in self.weighted().items()})
