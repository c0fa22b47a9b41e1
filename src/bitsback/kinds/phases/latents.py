"""Latents inside an image: they are read by all grids but the last two, and borrow the bits of these.

The finest grids c and d (:mod:`bitsback.kinds.phases.grids`), about half of the samples, do not depend on the latents z
once the others are known, nor does the posterior depend on them. So they lie on the stack before z is chosen, and z is
chosen with bits of the image itself. With x3 for these two grids and x12 for all others::

    encode:  push x3 | x12;  z = pop q(z | x12);  push x12 | z;  push z
    decode:  pop z;  pop x12 | z;  push z by q(z | x12);  pop x3 | x12

No chain, no start, and what is borrowed is not left over from other latents. (Borrowing from parts of one datum is
split variational coding, of Tom Ryder, Chen Zhang, Ning Kang & Shifeng Zhang, "Split hierarchical variational
compression", CVPR 2022, arXiv 2204.01706.) Latents are chosen one by one. Where images are so plain that x3 cannot lend
what all of them need, the last ones are the most likely, and paid for; a number says how many are not.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.codecs import PosteriorBuckets, Uniform, bucket_codes, quarter
from bitsback.errors import EmptyStackError, FormatError
from bitsback.kinds.phases.codec import Images, PhasesCodec, Ready
from bitsback.kinds.phases.grids import lent
from bitsback.nets.engine import Runner

if TYPE_CHECKING:
    from bitsback.kinds.phases.network import LatentsSpec


class Latents:
    """Encoder and decoder network of a model, as distributions.

    ``encode``, ``decode``: their runners. ``levels``: of a sample.
    """

    def __init__(self, spec: LatentsSpec, encode: Runner, decode: Runner, levels: int) -> None:
        self.spec, self._encode, self._decode = spec, encode, decode
        self._scale = np.uint8(128 if levels == 2 else 1)

    def prior(self, n: int, bits: int | None = None) -> Uniform:
        """p(z) of n images."""
        return Uniform(self.spec.bits if bits is None else bits, (n, self.spec.count))

    def posterior(self, x: Images) -> PosteriorBuckets:
        """q(z | x12) of images, channels in coding order, of which the grids that lend are not looked at."""
        seen = np.ascontiguousarray(without_lenders(x).transpose(0, 3, 1, 2)) * self._scale
        out = self._encode(seen)
        delta, narrowness = out[:, : self.spec.count], out[:, self.spec.count :]
        return PosteriorBuckets.from_codes(delta, quarter(narrowness), self.spec.bits)

    def maps(self, z: NDArray[np.uint16], bits: int | None = None) -> NDArray[np.uint8]:
        """What latents say: uint8 (n, height, width, map)."""
        out = self._decode(bucket_codes(self.spec.bits if bits is None else bits)[z])
        return np.ascontiguousarray(out.reshape(len(z), *self.spec.decoder.output).transpose(0, 2, 3, 1))


class LatentCodec:
    """n images as one symbol of a :class:`bitsback.codecs.Codec`; ``shape``: theirs, channels in coding order."""

    def __init__(self, ready: Ready, latents: Latents, shape: tuple[int, int, int, int]) -> None:
        self._ready, self._latents, self.shape = ready, latents, shape
        self._plain = PhasesCodec(ready, shape)
        self._prior, self._borrowed = latents.prior(shape[0]), Uniform(latents.spec.count.bit_length(), (1,))
        self._first, self._last = ([step for step in self._plain.steps if lent(step) == last] for last in (False, True))

    def push(self, stack: Stack, x: Images) -> None:
        """Push images."""
        self._plain.push_steps(stack, x, self._last)
        posterior = self._latents.posterior(x)
        z, borrowed = posterior.modes(), 0
        with suppress(EmptyStackError):
            for one in _one_by_one(posterior):
                z[:, borrowed] = one.pop(stack)
                borrowed += 1
        self._given(z).push_steps(stack, x, self._first)
        self._prior.push(stack, z)
        self._borrowed.push(stack, np.array([borrowed]))

    def pop(self, stack: Stack) -> Images:
        """Pop images.

        Raises:
            EmptyStackError: the stack holds too few bits. FormatError: more latents are borrowed than there are.
        """
        (borrowed,) = self._borrowed.pop(stack)
        if borrowed > self._latents.spec.count:
            raise FormatError("more latents are borrowed than there are")
        z = self._prior.pop(stack)
        x = np.zeros(self.shape, np.uint8)
        self._given(z).pop_steps(stack, x, self._first)
        if borrowed:
            chosen = _one_by_one(self._latents.posterior(x))[:borrowed]
            for one, of_all in zip(reversed(chosen), reversed(z.T[:borrowed]), strict=True):
                one.push(stack, of_all)
        self._plain.pop_steps(stack, x, self._last)
        return x

    def _given(self, z: NDArray[np.uint16]) -> PhasesCodec:
        return PhasesCodec(self._ready, self.shape, self._latents.maps(z))


def _one_by_one(posterior: PosteriorBuckets) -> list[PosteriorBuckets]:
    """Of each latent, for all images."""
    columns = zip(posterior.mean.T, posterior.scale.T, strict=True)
    return [PosteriorBuckets(mean, scale, posterior.bits_per_symbol) for mean, scale in columns]


def without_lenders(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (n, height, width, channels) with 0 in the grids c and d of level 0."""
    found = x.copy()
    clear_lenders(found)
    return found


def clear_lenders(x: Any) -> None:
    """The same in place, of an array or a tensor."""
    x[:, ::2, 1::2] = x[:, 1::2, ::2] = 0
