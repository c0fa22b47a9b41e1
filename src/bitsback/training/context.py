"""The trainable form of the causal context network (:mod:`bitsback.kinds.context`): layers, starts, and its bits.

As in :mod:`bitsback.training.layers`, activations are real numbers ``u / 32``, and with ``quantise`` on the forward
pass computes exactly what the integer network will. Two things differ. Inputs are centred: a companded difference of
0 is the byte 128, and a network that sees the distance from there learns faster than one that sees a large common
offset. And the last layer works in a unit of its own for each parameter of a distribution, chosen so that a step of
Adam means about as much for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitsback.kinds.context.network import MAX_OUTPUT, ContextNetwork, ContextSpec
from bitsback.kinds.context.network import UNIT as LEVEL
from bitsback.nets.layers import MAX_WIDE_WEIGHT, Dense, Weights
from bitsback.training.layers import UNIT, QuantLayer, ReturningClip, on_grid, straight_through
from bitsback.training.mixture import nats_and_gradient

Likelihood = Literal["bernoulli", "logistic_mixture"]

SLICE = 8192
"""Samples that :meth:`TrainableContext.total` takes at a time."""

CENTRE = 128 / UNIT
"""The real input that stands for a difference of 0."""

NO_REFERENCE = 2048
"""The middle of the range, in sixteenths: where means are counted from in a model without the adaptive predictor."""

MEAN_UNIT, FREE_MEAN_UNIT, SCALE_UNIT, WEIGHT_UNIT, LOGIT_UNIT = 24.0, 256.0, 6.0, 16.0, 64 / 5
"""Integers of the last layer to one real unit: means counted from a reference, and from the middle of the range;
scales (a unit is an octave); weights (a bit); the logits of two-valued samples (1)."""


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


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """``x`` within ``low`` and ``high``, with a gradient that leads back from outside."""
    clipped: Tensor = ReturningClip.apply(x - low, high - low)
    return clipped + low


class ContextLayer(QuantLayer):
    """One dense layer of the context network.

    ``units``, of the last layer only: how many integers one real unit of each output is. ``centred``: the inputs are
    counted from :data:`CENTRE`.
    """

    def __init__(self, layer: Dense, units: Tensor | None = None, centred: bool = False) -> None:
        super().__init__(layer, last=units is not None)
        self.centre = CENTRE if centred else 0.0
        # Every layer is exported as if its unit were UNIT, so the last one's weights take up the difference
        self.gain = nn.Buffer(torch.ones(layer.outputs) if units is None else units / UNIT, persistent=False)

    def effective(self) -> tuple[Tensor, Tensor]:
        """Weight and bias in units of :data:`UNIT`, for inputs that are not centred."""
        bias = self.bias - self.centre * self.weight.sum(1) if self.centre else self.bias
        return (self.weight * self.gain[:, None], bias * self.gain) if self.last else (self.weight, bias)

    def integers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weight, bias and shift, as float tensors.

        The margin of :func:`on_grid` for the bias, 255 before scaling, has room for the half that rounding adds.
        """
        return on_grid(*self.effective(), MAX_WIDE_WEIGHT)

    def exact(self) -> tuple[Tensor, Tensor]:
        """:meth:`effective`, on the integers' grid if the quantisation is in the loop."""
        weight, bias = self.effective()
        if self.quantise:
            w, b, shift = self.integers()
            scale = shift.exp2()
            weight = straight_through(w / scale[:, None], weight)
            bias = straight_through(b / (scale * UNIT), bias)
        return weight, bias

    def activate(self, y: Tensor) -> Tensor:
        """What follows the linear map: real activations, but for the last layer what the integers stand for."""
        if not self.last:
            if self.quantise:
                return _Activation.apply(y)  # type: ignore[no-any-return]
            return F.hardtanh(y, 0, 255 / UNIT)  # a clip with a cheaper gradient than clamp's
        y = y * UNIT
        if self.quantise:  # before the clip, whose sums would not be exact on fractions
            y = straight_through(torch.floor(y + 0.5), y)
        return clip(y, -MAX_OUTPUT, MAX_OUTPUT)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return self.activate(F.linear(x, *self.exact()))


@dataclass(frozen=True)
class Samples:
    """Samples to learn from.

    ``index``: int64 (n,), their pixels; ``x``: float (n,), their values; ``features``: from a slice of ``index`` to
    real activations, (slice, features), without a gradient; ``weight`` and ``reference``: float (n,) or None.
    """

    index: Tensor
    x: Tensor
    features: Callable[[Tensor], Tensor]
    weight: Tensor | None = None
    reference: Tensor | None = None


class TrainableContext(nn.Module):
    """The context networks of all channels of a model.

    Args:
        spec: features, widths of the layers, and the channels of the feature map.
        channels: of the image.
        parameters: outputs of each network: 1 for "bernoulli", 3 * components for "logistic_mixture".
    """

    def __init__(
        self, spec: ContextSpec, channels: int, parameters: int, likelihood: Likelihood, components: int = 1
    ) -> None:
        super().__init__()
        spec.check(channels)
        if parameters != (1 if likelihood == "bernoulli" else 3 * components):
            raise ValueError(f"{parameters} parameters do not make {components} components of {likelihood}")
        self.spec, self.likelihood, self.components = spec, likelihood, components
        units = torch.full((1,), LOGIT_UNIT)
        if likelihood == "logistic_mixture":
            mean = MEAN_UNIT if spec.has_reference else FREE_MEAN_UNIT
            units = torch.tensor([mean, SCALE_UNIT, WEIGHT_UNIT]).repeat_interleave(components)
        self.networks = nn.ModuleList()
        for channel in range(channels):
            layers = spec.layers(channel, parameters)
            last = len(layers) - 1
            self.networks.append(
                nn.Sequential(
                    *(ContextLayer(layer, units if i == last else None, i == 0) for i, layer in enumerate(layers))
                )
            )
        self._start()

    def layers(self) -> list[list[ContextLayer]]:
        """The layers of each channel's network."""
        return [[m for m in network.modules() if isinstance(m, ContextLayer)] for network in self.networks]

    @torch.no_grad()
    def _start(self) -> None:
        """Start with plausible samples.

        Around a reference, components from narrow to wide; of a sharp model, from all but certain to wide. Without one,
        components spread over the range, where those at its ends are narrow: black, white and everything between.
        """
        k = self.components
        for network in self.layers():
            last = network[-1]
            last.weight.mul_(0.1)
            if self.likelihood == "bernoulli":
                last.bias[:] = -1.0
            elif self.spec.sharp:
                last.bias[k : 2 * k] = torch.tensor([-12.0, *[0.0] * (k - 2), 30.0][:k]) / SCALE_UNIT
            elif self.spec.has_reference:
                last.bias[k : 2 * k] = torch.linspace(8, 34, k) / SCALE_UNIT if k > 1 else 20 / SCALE_UNIT
            else:
                # Ends beyond the range, where a level's share of a folded end is large
                ends = NO_REFERENCE + 2 * LEVEL
                last.bias[:k] = torch.linspace(-ends, ends, k) / FREE_MEAN_UNIT if k > 1 else 0.0
                last.bias[k : 2 * k] = 48 / SCALE_UNIT
                if k > 1:
                    last.bias[k] = last.bias[2 * k - 1] = 16 / SCALE_UNIT

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

        ``out``: (n, parameters) from :meth:`forward`. ``reference``: (n,), what the adaptive predictor predicts, in
        sixteenths of a level; None for a model without one.
        """
        if self.likelihood == "bernoulli":
            return bernoulli_nats(out[:, 0], x)
        return mixture_nats(out, x, reference, self.spec.lowest_scale)

    def total(self, channel: int, samples: Samples, maps: Tensor | None = None) -> Tensor:
        """Weighted sum of the nats of all ``samples``, (), computed in slices that fit the caches.

        The gradient for the weights and for ``maps`` is computed along with the sum, slice by slice, as nothing but a
        factor can come between: so no activation is kept, and it takes about half the time of the usual way.

        ``maps``: the feature maps, (pixels, map), of which ``samples.index`` takes rows; None without latents.
        """
        weights = [t for layer in self.layers()[channel] for t in layer.exact()]
        result: Tensor = _Total.apply(self, channel, samples, maps, *weights)
        return result

    @torch.no_grad()
    def start_from(self, network: ContextNetwork) -> None:
        """Take over the weights of an integer network of the same specification."""
        for layers, integers in zip(self.layers(), network.weights, strict=True):
            for layer, w in zip(layers, integers, strict=True):
                scale = torch.from_numpy(w.shift.astype(np.float32)).exp2()
                weight = torch.from_numpy(w.weight.astype(np.float32)) / scale[:, None] / layer.gain[:, None]
                layer.weight.copy_(weight)
                bias = torch.from_numpy(w.bias.astype(np.float32)) / (scale * UNIT) / layer.gain
                layer.bias.copy_(bias + layer.centre * weight.sum(1))

    def export(self) -> list[list[Weights]]:
        """For each channel, the integers of each layer as stored in a model file."""
        return [[layer.export() for layer in network] for network in self.layers()]


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, net: TrainableContext, channel: int, samples: Samples, maps: Tensor | None, *weights: Tensor
    ) -> Tensor:
        learning = any(ctx.needs_input_grad)
        leaves = [w.detach().requires_grad_(learning) for w in weights]
        gradient = None if maps is None else torch.zeros_like(maps)
        total = torch.zeros((), device=samples.x.device)
        first, *rest = net.layers()[channel]
        split = len(net.spec.features[channel])
        for i in range(0, len(samples.index), SLICE):
            here = slice(i, i + SLICE)
            index = samples.index[here]
            with torch.set_grad_enabled(learning):
                y = F.linear(samples.features(index), leaves[0][:, :split], leaves[1])
                rows = None
                if maps is not None:
                    rows = maps.detach().index_select(0, index).requires_grad_(learning)
                    y = torch.addmm(y, rows, leaves[0][:, split:].t())
                y = first.activate(y)
                for k, layer in enumerate(rest, 1):
                    y = layer.activate(F.linear(y, leaves[2 * k], leaves[2 * k + 1]))
                reference = None if samples.reference is None else samples.reference[here]
                nats = net.nats(y, samples.x[here], reference)
                nats = nats.sum() if samples.weight is None else nats @ samples.weight[here]
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
        return None, None, None, saved.pop() if ctx.has_maps else None, *saved


def bernoulli_nats(out: Tensor, x: Tensor) -> Tensor:
    """-log p(x): the integer u, clipped to -128..127, stands for the logit 5 u / 64."""
    return F.binary_cross_entropy_with_logits(clip(out, -128, 127) * (5 / 64), x, reduction="none")


def mixture_nats(out: Tensor, x: Tensor, reference: Tensor | None = None, lowest: int = 0) -> Tensor:
    """-log p(x) under a mixture of K discretised logistics, ends folded (PixelCNN++, arXiv 1701.05517).

    ``out``: (n, 3 K), K means, K scales, K weights. A mean is (reference + out) / 16 levels, a scale
    2^((clip(out, lowest, 63) - 16) / 6) levels, and a weight is in proportion to 2^(clip(out, -128, 127) / 16).
    ``reference``: (n,), or (n, K) for one of each component.
    """
    if reference is None:
        reference = torch.full_like(x, NO_REFERENCE)
    if reference.dim() == 1:
        reference = reference[:, None]
    if out.device.type == "cpu" and out.dtype == torch.float32:
        result: Tensor = _FusedNats.apply(out, x, reference, lowest)
        return result
    mean, scale, weight = out.t().contiguous().chunk(3)  # components first: long vectors are what sums are fast over
    nats: Tensor = _MixtureNats.apply(
        (mean + reference.t()) / LEVEL, clip(scale, lowest, 63) / 6 - 16 / 6, clip(weight, -128, 127) / 16, x
    )
    return nats


class _FusedNats(torch.autograd.Function):
    """:func:`mixture_nats` on a CPU."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, x: Tensor, reference: Tensor, lowest: int) -> Tensor:
        a, b, c = (t.contiguous().numpy() for t in (out, x, reference))
        nats, gradient = nats_and_gradient(a, b, c, float(lowest), ctx.needs_input_grad[0])
        ctx.save_for_backward(torch.from_numpy(gradient))
        return torch.from_numpy(nats)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0][:, None] * ctx.saved_tensors[0], None, None, None


class _MixtureNats(torch.autograd.Function):
    """nats(mean, log2 scale, log2 weight, x), (n,), from (K, n) and (n,), with the gradient written out for speed.

    All in log space: a floor on the probability would stop the gradient of badly predicted samples. With
    b = (x - mean - 1/2) / scale and a = b + 1 / scale, a component's mass is sigmoid(a) - sigmoid(b), whose logarithm
    is logsigmoid(a) + logsigmoid(-b) + log(1 - exp(-1 / scale)); at the ends of the range, one of the first two alone.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, scale: Tensor, weight: Tensor, x: Tensor) -> Tensor:
        inverse = torch.exp2(-scale)
        from_mean = x - 0.5 - mean
        below = from_mean * inverse
        above = below + inverse
        lowest, highest = x == 0, x == 255
        ends = lowest | highest
        step = torch.expm1(-inverse).neg_()
        log_mass = F.logsigmoid(above).masked_fill_(highest, 0)
        log_mass += F.logsigmoid(-below).masked_fill_(lowest, 0)
        log_mass += step.log().masked_fill_(ends, 0)
        share = torch.log_softmax(weight * math.log(2), 0)
        joint = log_mass + share
        total = torch.logsumexp(joint, 0)
        if any(ctx.needs_input_grad):
            responsible = torch.exp(joint - total)
            up = torch.sigmoid(-above).masked_fill_(highest, 0)
            down = torch.sigmoid(below).masked_fill_(lowest, 0)
            # Derivatives of log_mass by the mean and by 1 / scale
            by_mean = (down - up) * inverse
            by_inverse = (up - down) * from_mean + up + ((1 - step) / step).masked_fill_(ends, 0)
            by_scale = by_inverse * inverse * -math.log(2)
            ctx.save_for_backward(
                -responsible * by_mean, -responsible * by_scale, (share.exp() - responsible) * math.log(2)
            )
        return -total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        return *(gradient * part for part in ctx.saved_tensors), None
