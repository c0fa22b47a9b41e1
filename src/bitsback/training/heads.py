"""The trainable heads of models in phases: :class:`bitsback.training.context.ContextLayer`, many of them in one.

Heads are small and many, one for each channel and class of levels, so that the overhead of every tensor operation would
be most of what they take. Those of a phase are stacked here: an operation serves all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitsback.kinds.phases.network import FOLLOW_SHIFT, PhasesSpec
from bitsback.nets.layers import MAX_WIDE_WEIGHT, Weights
from bitsback.training.context import activated
from bitsback.training.layers import CENTRE, SMALL, UNIT, exported, in_the_loop, on_grid, real
from bitsback.training.objectives import Objective

Exact = list[tuple[Tensor, Tensor]]
"""Weights (classes, channels, outputs, inputs) and biases (classes, channels, outputs) of all layers, as they act."""


class TrainableHeads(nn.Module):
    """The heads of all channels, and of some classes of levels, of a phase; or of the coarsest level's sample, None.

    A channel that comes early reads less, and gives less, than the last one. What it lacks is there, as weights that
    are held at 0.
    """

    def __init__(
        self, spec: PhasesSpec, phase: int | None, classes: int, channels: int, parameters: int, objective: Objective
    ) -> None:
        super().__init__()
        self.quantise = False
        self.layers = [spec.head(phase, c, parameters) for c in range(channels)]
        maps = spec.maps(phase)
        units, start = objective.units(spec), objective.start(spec)
        more = self.layers[-1][-1].outputs - parameters
        unit = torch.cat([units, torch.full((more,), 2.0**FOLLOW_SHIFT)])
        # Every layer is exported as if its unit were UNIT, so the last one's weights take up the difference
        self.gain = nn.Buffer(unit / UNIT, persistent=False)
        centre = torch.zeros(maps + 2 * (channels - 1))
        centre[maps::2] = CENTRE if parameters > 1 else 0.0  # errors are counted from 0, all else from its least
        self.centre = nn.Buffer(centre, persistent=False)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, widest in enumerate(self.layers[-1]):
            weight = torch.zeros(classes, channels, widest.outputs, widest.inputs)
            mask = torch.zeros(channels, widest.outputs, widest.inputs)
            bias = torch.zeros(classes, channels, widest.outputs)
            for c, layers in enumerate(self.layers):
                one, last = layers[i], i == len(layers) - 1
                mask[c, : one.outputs, : one.inputs] = 1
                size = (2.0 / one.inputs) ** 0.5 * SMALL * (0.1 if last else 1.0)
                weight[:, c, : one.outputs, : one.inputs] = size * torch.randn(classes, one.outputs, one.inputs)
                if last:
                    bias[:, c, :parameters] = start / units
                    if more and c:
                        bias[:, c, one.outputs - 1] = 0.7  # channels err alike
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(bias))
            self.register_buffer(f"mask{i}", mask, persistent=False)

    def forward(self, exact: Exact, level: int, maps: Tensor, shown: Tensor) -> Tensor:
        """What the heads of a class give for n samples, (channels, n, outputs), in the units of integer parameters.

        Args:
            exact: the layers, by :meth:`exact`. maps: (n, maps). shown: of each channel but the last, (n, channels - 1,
                2); see :mod:`bitsback.kinds.phases.network`.
        """
        y = torch.cat([maps, shown.flatten(1)], 1) if shown.shape[1] else maps
        for i, (weights, biases) in enumerate(exact):
            weight, bias = weights[level], biases[level]
            if i == 0:  # all channels read one array
                y = F.linear(y, weight.flatten(0, 1), bias.flatten()).unflatten(1, bias.shape).transpose(0, 1)
            else:
                y = torch.baddbmm(bias[:, None], y, weight.transpose(1, 2))
            y = activated(y, i == len(exact) - 1, self.quantise)
        return y

    def exact(self) -> Exact:
        """All layers, for inputs that are not centred, on the integers' grid if the quantisation is in the loop."""
        found = []
        for i in range(len(self.weights)):
            weight, bias = self._effective(i)
            found.append(in_the_loop(weight, bias, *self._integers(i)) if self.quantise else (weight, bias))
        return found

    def _effective(self, i: int, double: bool = False) -> tuple[Tensor, Tensor]:
        weight, bias, mask = self.weights[i], self.biases[i], self.get_buffer(f"mask{i}")
        gain: Tensor = self.gain
        centre: Tensor = self.centre
        if double:  # so that what started from integers comes back to them
            weight, bias, gain, centre = (one.double() for one in (weight, bias, gain, centre))
        weight, bias = weight * mask, bias * mask[..., 0]
        if i == 0 and len(centre) > self.layers[0][0].inputs:
            bias = bias - (weight * centre).sum(3)
        if i == len(self.weights) - 1:
            weight, bias = weight * gain[:, None], bias * gain
        return weight, bias

    @torch.no_grad()
    def _integers(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weight, bias and shift of a layer, as float tensors."""
        weight, bias = self._effective(i, double=True)
        w, b, shift = on_grid(weight.flatten(0, 2), bias.flatten(), MAX_WIDE_WEIGHT, half=True)
        return w.view_as(weight).float(), b.view_as(bias).float(), shift.view_as(bias).float()

    def export(self) -> list[list[list[Weights]]]:
        """The layers of each channel of each class, as stored in a model file."""
        integers = [self._integers(i) for i in range(len(self.weights))]

        def one(level: int, c: int, i: int) -> Weights:
            layer, (w, b, shift) = self.layers[c][i], (part[level, c] for part in integers[i])
            return exported(w[: layer.outputs, : layer.inputs], b[: layer.outputs], shift[: layer.outputs])

        depth, (classes, channels) = range(len(integers)), integers[0][1].shape[:2]
        return [[[one(level, c, i) for i in depth] for c in range(channels)] for level in range(classes)]

    @torch.no_grad()
    def start_from(self, classes: Sequence[Sequence[Sequence[Weights]]]) -> None:
        """The inverse of :meth:`export`, but perhaps for the last bit of a bias beyond 2^23."""
        for level, channels in enumerate(classes):
            for c, layers in enumerate(channels):
                for i, integers in enumerate(layers):
                    weight, bias = (part.double() for part in real(integers))
                    outputs, inputs = weight.shape
                    if i == len(layers) - 1:
                        gain = self.gain[:outputs].double()
                        weight, bias = weight / gain[:, None], bias / gain
                    if i == 0:
                        bias = bias + (weight * self.centre[:inputs]).sum(1)
                    self.weights[i][level, c, :outputs, :inputs] = weight.float()
                    self.biases[i][level, c, :outputs] = bias.float()
