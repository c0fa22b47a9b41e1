"""The features of the causal context network for whole batches of images, and which pixels to learn from.

This is the training side of what :mod:`bitsback.kinds.context.codec` does pixel by pixel, for images of one channel
without the adaptive predictor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitsback.kinds.context.network import BINARY_UNIT, MARGIN, TABLE_SIZE, ContextSpec, Tap, companding
from bitsback.kinds.context.network import UNIT as LEVEL
from bitsback.training.layers import UNIT


def padded(x: Tensor, border: int) -> Tensor:
    """``x`` (n, H, W) with MARGIN pixels above and at both sides: (n, H + MARGIN, W + 2 MARGIN).

    Above is ``border``. To the left of a row is the first pixel of the row above; to its right, its own last one.
    """
    result = F.pad(x, (MARGIN, MARGIN, MARGIN, 0), value=border)
    result[:, MARGIN + 1 :, :MARGIN] = x[:, :-1, :1]
    result[:, MARGIN:, -MARGIN:] = x[:, :, -1:]
    return result


class Neighbours(nn.Module):
    """Gathers the features of chosen pixels.

    Args:
        spec: its features must be taps of "value", "row" and "column", each against "zero".
        height, width: of the images.
        levels: 2 or 256.
    """

    def __init__(self, spec: ContextSpec, height: int, width: int, levels: int) -> None:
        super().__init__()
        (features,) = spec.features
        if any(f.b != Tap("zero") or f.a.plane not in ("value", "row", "column") for f in features):
            raise ValueError("the features of the training here are values, rows and columns")
        table = torch.from_numpy(companding()).float() / UNIT
        middle = TABLE_SIZE // 2
        step = BINARY_UNIT if levels == 2 else LEVEL
        self.border, self.stride = spec.border, width + 2 * MARGIN
        self.values = nn.Buffer(table[(torch.arange(256) * step).clamp_max(middle - 1) + middle], persistent=False)
        pixels = torch.arange(height * width)
        row, column = pixels // width, pixels % width
        self.places = nn.Buffer((row + MARGIN) * self.stride + column + MARGIN, persistent=False)
        here = {
            "row": table[row.clamp_max(127) * LEVEL + middle],
            "column": table[column.clamp_max(127) * LEVEL + middle],
        }
        taps = [f.a for f in features]
        self.offsets = nn.Buffer(
            torch.tensor([t.dy * self.stride + t.dx for t in taps if t.plane == "value"]), persistent=False
        )
        self.here = nn.Buffer(
            torch.stack([here[t.plane] for t in taps if t.plane in here] or [pixels[:0]], 1), persistent=False
        )
        if [t.plane == "value" for t in taps] != sorted((t.plane == "value" for t in taps), reverse=True):
            raise ValueError("values come first among the features")

    def plane(self, x: Tensor) -> Tensor:
        """The companded values of a batch of images with their surroundings; ``x``: uint8 (n, H, W)."""
        return self.values[padded(x, self.border).int()]

    def forward(self, plane: Tensor, chosen: Tensor) -> Tensor:
        """Features as real activations, (len(chosen), features).

        ``plane``: from :meth:`plane`. ``chosen``: indices of pixels, counted through the whole batch.
        """
        image, place = chosen // len(self.places), chosen % len(self.places)
        start = image * plane[0].numel() + self.places[place]
        return torch.cat([plane.view(-1).take(start[:, None] + self.offsets), self.here[place]], 1)


def choose(x: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Pixels of a batch to learn from, and the weight of each: an unbiased sample of all.

    Where a pixel and its surroundings are background there is little to learn, and in an image of a digit that is
    most of it. Such pixels are taken with a probability of ``share`` and weigh 1 / ``share``.

    ``x``: uint8 (n, H, W). Returns int64 indices, counted through the batch, and float weights, both (chosen,).
    """
    ink = (x > 0).float()[:, None]
    near = F.max_pool2d(F.pad(ink, (2, 2, 2, 0)), (3, 5), 1)[:, 0] > 0  # two rows above, two columns beside
    chosen = near | (torch.rand(x.shape, device=x.device) < share)
    index = chosen.flatten().nonzero()[:, 0]
    return index, torch.where(near.flatten()[index], 1.0, 1 / share)
