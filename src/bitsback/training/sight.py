"""What networks in phases are shown, in tensor operations: for devices on which the codec's kernel does not run.

The numbers are those of :func:`bitsback.kinds.phases.sight.look`, to the bit. What is the same for all images of a size
lies on the device, so that nothing but the images has to go there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitsback.kinds.context.network import rounded_bias
from bitsback.kinds.phases.codec import surroundings
from bitsback.kinds.phases.grids import NEAR, Step, offsets, place
from bitsback.kinds.phases.network import PhasesSpec
from bitsback.kinds.phases.sight import HIGHEST, LOWEST, MOST
from bitsback.nets.layers import Weights


class Seen(NamedTuple):
    """Of the samples of a step of some images, row by row: features, uint8 (count, features); the samples, uint8
    (count, channels); predictions, int16 (count, channels), and the nearest taps, int16 (count, channels, NEAR), which
    are empty without a filter."""

    features: Tensor
    samples: Tensor
    predictions: Tensor
    near: Tensor


class Scene:
    """What a step sees of images of one size.

    Args:
        shape: (height, width, channels) of the images. filters: of the step, if it has any.
    """

    def __init__(
        self,
        spec: PhasesSpec,
        step: Step,
        shape: tuple[int, int, int],
        filters: Weights | None,
        device: torch.device,
    ) -> None:
        def there(a: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(a)).to(device)

        height, width, channels = shape
        around = surroundings(spec, step, height, width)
        taps = []
        for c, reach in enumerate(spec.predicts or spec.reach):
            rows, columns = offsets(step, reach, height, width, channels)
            taps.append((rows[:, None] + columns).reshape(step.height * step.width, -1) + c)
        counts = [part.shape[1] for part in taps]
        first = np.cumsum([0, *counts[:-1]])
        self._taps = there(np.concatenate(taps, 1))
        self._owner = there(np.repeat(np.arange(channels), counts))
        self._near = there((first[:, None] + np.arange(NEAR)).reshape(-1))
        self._shown = there(np.concatenate([f + np.arange(n) for f, n in zip(first, around.shown, strict=True)]))
        start, down, right = place(step, width, channels)
        corners = start + down * np.arange(step.height)[:, None] + right * np.arange(step.width)
        self._samples = there(corners.reshape(-1, 1) + np.arange(channels))
        besides = [np.repeat(around.of_rows, step.width, 0), np.tile(around.of_columns, (step.height, 1))]
        self._besides = there(np.concatenate(besides, 1))
        self._filters: tuple[Tensor, Tensor, Tensor] | None = None
        if filters is not None:
            # In double precision, where sums of so many products are exact
            weight, bias, scale = filters.weight.T, rounded_bias(filters), np.exp2(filters.shift.astype(np.float64))
            self._filters = there(weight.astype(np.float64)), there(bias.astype(np.float64)), there(scale)

    def look(self, images: Tensor, table: Tensor) -> Seen:
        """What is seen of images, uint8 (n, height, width, channels); ``table``: the companding of every difference of
        16 bits, uint8 (65536,)."""
        channels, flat = images.shape[3], images.flatten(1)
        taps = flat[:, self._taps].flatten(0, 1).int()
        samples, besides = flat[:, self._samples].flatten(0, 1), self._besides.repeat(len(images), 1)
        if self._filters is None:
            none = taps.new_empty(0, dtype=torch.int16)
            shown = (255 * taps[:, self._shown]).to(torch.uint8)
            return Seen(torch.cat([shown, besides], 1), samples, none, none)
        weight, bias, scale = self._filters
        sums = taps[:, self._near].view(-1, channels, NEAR).sum(2, dtype=torch.int32)
        u = (4 * taps - sums[:, self._owner]).double()
        added = ((u @ weight + bias) / scale).floor().clamp(-MOST, MOST)
        predictions = (4 * sums + added.int()).clamp(LOWEST, HIGHEST)
        off = 16 * taps - predictions[:, self._owner]
        levels = (predictions >> 4).clamp(0, 255).to(torch.uint8)
        features = torch.cat([table[off[:, self._shown] & 0xFFFF], levels, besides], 1)
        near = off[:, self._near].view(-1, channels, NEAR)
        return Seen(features, samples, predictions.short(), near.short())
