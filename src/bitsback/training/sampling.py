"""Pixels to learn from: all features of a context network for any pixel of many images, gathered at random.

In training all neighbours of a sample are known, so pixels are drawn from all images at once. What regression, median
and memories say of each is computed once, beforehand, by the very kernel that codes: :class:`Samples` keeps the
*planes* that features are read from (:mod:`bitsback.kinds.context.network`), and :class:`Gatherer` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bitsback.kernels import kernel
from bitsback.kinds.context.codec import ContextCodec
from bitsback.kinds.context.network import (
    BINARY_UNIT,
    MARGIN,
    UNIT,
    ContextNetwork,
    ContextSpec,
    Tap,
    companding,
    plane,
    plane_count,
)
from bitsback.kinds.likelihoods import LikelihoodSpec
from bitsback.nets.layers import Dense, Weights
from bitsback.threads import ordered_map
from bitsback.training.layers import UNIT as REAL

RUN = 8
"""Pixels of a row that are drawn together where all pixels count alike: their features come from the same memory."""

PLAIN_SHARE = 1 / 8
"""How often a plain pixel is drawn, next to one that is not: there is little to learn from it."""

TOGETHER = 1 << 16
"""Pixels of images of one size that are surveyed in one call."""

MOSTLY_PLAIN = 0.3
"""The share of plain pixels from which on that is worth its scattered reads."""


@dataclass
class Samples:
    """All pixels of many images, with the planes that features are read from, flat one after the other.

    ``planes``: int16 (planes, total). ``start``, ``stride``: where each image begins, and its rows' stride.
    ``size``: (height, width) of each image; ``ends``: cumulative number of pixels. ``shift``: from a plane's value to
    a sample. ``plain``: bool (pixels,), see :func:`_find_plain`.
    """

    planes: NDArray[np.int16]
    start: NDArray[np.int64]
    stride: NDArray[np.int64]
    size: NDArray[np.int64]
    ends: NDArray[np.int64]
    channels: int
    shift: int
    plain: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        network: ContextNetwork,
        levels: int = 256,
        threads: int = 1,
    ) -> Samples:
        """Survey images, (height, width, channels) in coding order, each of any size."""
        sizes = np.array([image.shape[:2] for image in images], np.int64)
        areas = (sizes[:, 0] + MARGIN) * (sizes[:, 1] + 2 * MARGIN)
        start = np.concatenate([[0], np.cumsum(areas)])
        planes = np.empty((plane_count(network.spec, network.channels), start[-1]), np.int16)

        def survey(run: range, _: int) -> None:
            together = np.stack([images[k] for k in run])
            # Planes do not depend on a feature map, which the codec asks for
            maps, order = np.zeros((len(run), network.spec.map, 1), np.uint8), np.zeros(together[0, ..., 0].size, int)
            found = ContextCodec(network, together.shape, levels, maps, order).survey(together)
            planes[:, start[run.start] : start[run.stop]] = found.reshape(len(found), -1)

        for _ in ordered_map(survey, _runs(sizes), threads):
            pass
        ends, stride = np.cumsum(sizes.prod(1)), sizes[:, 1] + 2 * MARGIN
        plain = np.zeros(int(ends[-1]), np.bool_)
        _find_plain(planes, start, stride, sizes, ends, network.channels, plain)
        shift = (UNIT if levels == 256 else BINARY_UNIT).bit_length() - 1
        return cls(planes, start[:-1], stride, sizes, ends, network.channels, shift, plain)

    def __len__(self) -> int:
        return int(self.ends[-1])


def _runs(sizes: NDArray[np.int64]) -> list[range]:
    """Images one after the other of one size, to be surveyed together; few large ones or many small ones."""
    runs, first = [], 0
    for k in range(1, len(sizes) + 1):
        full = (k - first) * int(sizes[first].prod()) >= TOGETHER
        if k == len(sizes) or full or (sizes[k] != sizes[first]).any():
            runs.append(range(first, k))
            first = k
    return runs


@kernel
def _find_plain(planes, start, stride, size, ends, channels, plain):  # type: ignore[no-untyped-def]
    """Mark pixels that equal all their nearest neighbours: W, NW, N, NE, WW and NN, in all channels."""
    for k in range(len(ends)):
        n = ends[k] - size[k, 0] * size[k, 1]
        for y in range(size[k, 0]):
            for x in range(size[k, 1]):
                p = start[k] + (y + MARGIN) * stride[k] + x + MARGIN
                same = True
                for c in range(channels):
                    row = planes[3 + c]
                    v = row[p]
                    up = p - stride[k]
                    same &= row[p - 1] == v and row[up - 1] == v and row[up] == v and row[up + 1] == v
                    same &= row[p - 2] == v and row[up - stride[k]] == v
                plain[n] = same
                n += 1


@kernel
def _gather(  # type: ignore[no-untyped-def]
    planes, start, stride, size, ends, taps, table, anchors, channels, shift, picks, out, x, reference
):  # fmt: skip
    for n in range(picks.size):
        image, last = 0, len(ends) - 1  # the first image that ends behind the pixel
        while image < last:
            middle = (image + last) >> 1
            if ends[middle] > picks[n]:
                last = middle
            else:
                image = middle + 1
        inside = picks[n] - (ends[image - 1] if image > 0 else 0)
        row, column = inside // size[image, 1], inside % size[image, 1]
        p = start[image] + (row + MARGIN) * stride[image] + column + MARGIN
        for j in range(taps.shape[0]):
            a = planes[taps[j, 0], p + taps[j, 1] * stride[image] + taps[j, 2]]
            b = planes[taps[j, 3], p + taps[j, 4] * stride[image] + taps[j, 5]]
            out[n, j] = table[min(max(a - b, -4096), 4095) + 4096]
        for c in range(channels):
            x[n, c] = planes[3 + c, p] >> shift
            for k in range(reference.shape[2]):
                if anchors.shape[0] > 0:
                    reference[n, c, k] = planes[
                        anchors[c, k, 0], p + anchors[c, k, 1] * stride[image] + anchors[c, k, 2]
                    ]
                else:
                    reference[n, c, k] = 2048


Batch = tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]
"""The features of each channel (n, F), samples (n, C), references (n, C, 1) or (n, C, K); float32, features as real
activations."""


class Gatherer:
    """Draws features, samples and references from :class:`Samples`."""

    def __init__(self, samples: Samples, spec: ContextSpec, device: str = "cpu") -> None:
        self.samples, self.device = samples, device
        self.counts = [len(f) for f in spec.features]
        taps = [(f.a, f.b) for features in spec.features for f in features]
        self.taps = np.array(
            [[v for t in pair for v in (plane(t, samples.channels), t.dy, t.dx)] for pair in taps], np.int64
        )
        anchors = spec.anchors
        if not anchors and spec.has_reference:
            anchors = tuple((Tap("reference", c),) for c in range(samples.channels))
        found = [(plane(t, samples.channels), t.dy, t.dx) for taps in anchors for t in taps]
        self.anchors = np.array(found, np.int64).reshape(len(anchors), -1 if anchors else 1, 3)
        self.table = companding()
        self.plain_part = float(samples.plain.mean())
        if self.plain_part > MOSTLY_PLAIN:
            self._busy, self._plain = (np.flatnonzero(part) for part in (~samples.plain, samples.plain))
        else:
            self._busy = self._plain = np.empty(0, np.int64)

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """About ``count`` pixels by number; :meth:`weights` makes any such draw an unbiased sample of all pixels."""
        if len(self._plain) == 0:
            runs = rng.integers(0, max(len(self.samples) - RUN, 0) + 1, -(-count // RUN))
            return np.minimum((runs[:, None] + np.arange(RUN)).ravel(), len(self.samples) - 1)
        plain = rng.binomial(count, self._plain_odds())
        return np.concatenate(
            [
                some[rng.integers(0, max(len(some), 1), n)]
                for some, n in ((self._plain, plain), (self._busy, count - plain))
            ]
        )

    def _plain_odds(self) -> float:
        odds = self.plain_part * PLAIN_SHARE
        return odds / (odds + 1 - self.plain_part)

    def thinned(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All pixels but for most of the plain ones, and how much each counts: an unbiased sample of all."""
        plain = self.samples.plain
        picks = np.flatnonzero(~plain | (rng.random(len(plain)) < PLAIN_SHARE))
        return picks, np.where(plain[picks], np.float32(1 / PLAIN_SHARE), np.float32(1))

    def weights(self, picks: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """How much each drawn pixel counts, 1 on average over a draw; None where all count 1."""
        if len(self._plain) == 0 or len(self._busy) == 0:
            return None
        odds = self._plain_odds()
        weight = np.array([(1 - self.plain_part) / (1 - odds), self.plain_part / odds], np.float32)
        return weight[self.samples.plain[picks].view(np.uint8)]

    def __call__(self, picks: NDArray[np.int64]) -> Batch:
        """Pixels by number."""
        s, n = self.samples, len(picks)
        out = np.empty((n, len(self.taps)), np.uint8)
        x = np.empty((n, s.channels), np.float32)
        reference = np.empty((n, s.channels, self.anchors.shape[1]), np.float32)
        _gather(
            s.planes, s.start, s.stride, s.size, s.ends, self.taps, self.table, self.anchors, s.channels, s.shift,
            picks, out, x, reference,
        )  # fmt: skip
        features = torch.from_numpy(out).to(self.device).float().div_(REAL)
        return (
            features.split(self.counts, 1),
            torch.from_numpy(x).to(self.device),
            torch.from_numpy(reference).to(self.device),
        )


def surveyor(
    spec: ContextSpec, channels: int, likelihood: LikelihoodSpec, threads: int = 1, device: str = "cpu"
) -> Callable[[Sequence[NDArray[np.uint8]] | NDArray[np.uint8]], Gatherer]:
    """What prepares images, uint8 (height, width, channels) in coding order each, for a network to learn from on a
    device. Only the network's specification matters for that."""
    zeros = [[_zeros(layer) for layer in spec.layers(c, likelihood.parameters)] for c in range(channels)]
    network = ContextNetwork(spec, channels, likelihood.parameters, companding(), zeros)
    return lambda images: Gatherer(Samples.of(images, network, likelihood.levels, threads), spec, device)


def _zeros(layer: Dense) -> Weights:
    weight = np.zeros((layer.outputs, layer.inputs), np.int16)
    return Weights(weight, np.zeros(layer.outputs, np.int32), np.zeros(layer.outputs, np.uint8))
