"""Views into a model, on given images: which are easy and which hard, and where in an image the bits go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.models import Model
from bitsback.report import figures
from bitsback.report.figures import Image
from bitsback.report.page import img, section, tag
from bitsback.report.words import count, fit, rate
from bitsback.threads import ordered_map, thread_count

SCORED_SAMPLES = 3 << 20
"""Samples of images that are looked at one by one, about."""

SCORED_EDGE, MAPPED_EDGE = 1024, 512
"""Pixels an edge of what is looked at, and of what has a heat map, at most; of a larger image, the middle."""

DRAWN_EDGE, DRAWN_PIXELS, SHEET = 128, 1 << 17, 16
"""What is drawn from a model, at most: pixels an edge, pixels in all, images."""

EXTREMES, MAPS = 6, 4
"""Images shown: easiest and hardest, with a heat map; at most."""

GROUP = 1 << 16
"""Pixels of images that are coded side by side."""


@dataclass(frozen=True)
class Scores:
    """What a model makes of some images.

    Attributes:
        model: it.
        images: uint8 (height, width, channels) each, all of them; names of them.
        looked: numbers of the images that were looked at, evenly spread. bits: bits/dim of each of these.
        kind: what they are, for instance "held-out image".
    """

    model: Model
    images: Sequence[Image]
    names: Sequence[str]
    looked: Sequence[int]
    bits: NDArray[np.float64]
    kind: str

    def order(self) -> NDArray[np.intp]:
        """Places in ``looked``, the easiest image first."""
        order: NDArray[np.intp] = np.argsort(self.bits, kind="stable")
        return order

    def mapped(self) -> list[int]:
        """Places of the images that have heat maps: from easy to hard, but for the ends."""
        order = self.order()
        if not len(order):
            return []
        return list(dict.fromkeys(int(order[round(q * (len(order) - 1))]) for q in np.linspace(0.1, 0.9, MAPS)))


def scores(model: Model, images: Sequence[Image], names: Sequence[str], kind: str = "image") -> Scores:
    """Look at images, as many as there is time for: what each costs, in bits/dim; of a large one, its middle."""
    middles = [middle(image, edges(model, image.shape, SCORED_EDGE)) for image in images]
    share = SCORED_SAMPLES / max(sum(image.size for image in middles), 1)
    many = min(len(middles), max(MAPS, int(len(middles) * share)))
    looked = [k * len(middles) // many for k in range(many)]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, k in enumerate(looked):
        shapes.setdefault(middles[k].shape, []).append(place)
    jobs = []
    for (height, width, _), places in shapes.items():
        step = max(1, GROUP // (height * width))
        jobs += [places[k : k + step] for k in range(0, len(places), step)]

    def one(places: list[int], _: int) -> NDArray[np.float64]:
        group = np.stack([middles[looked[place]] for place in places])
        bits: NDArray[np.float64] = model.elbo_bits(group)
        bits /= group[0].size
        return bits

    bits = np.empty(many, np.float64)
    model.prepare()
    with closing(ordered_map(one, jobs, thread_count())) as work:
        for places, found in zip(jobs, work, strict=True):
            bits[places] = found
    return Scores(model, images, names, looked, bits, kind)


def extremes(found: Scores) -> str:
    """The section on the easiest and the hardest images; nothing for a single one."""
    order, bits, model = found.order(), found.bits, found.model
    cut = any(edges(model, image.shape, SCORED_EDGE) != image.shape[:2] for image in found.images)
    many = min(EXTREMES, len(order) // 2)
    if not many:
        return ""

    def gallery(places: Iterable[int]) -> str:
        items = ""
        for k in places:
            image, name = found.images[found.looked[k]], escape(fit(found.names[found.looked[k]], 48))
            items += f"<li>{img(image, model.levels, f'{name}, {rate(bits[k])} bits/dim')}"
            items += f"<strong>{rate(bits[k])} bits/dim</strong><span>{name}</span></li>\n"
        return f'<ul class="gallery">{items}</ul>'

    cut_words = " Of large images, the middle was looked at." if cut else ""
    spread = (
        f"from {rate(bits[order[0]])} to {rate(bits[order[-1]])} bits/dim, half of them above {rate(np.median(bits))}"
    )
    return section(
        "extremes",
        "The easiest and the hardest",
        f"""<p>No two images take the same: these {count(len(bits), found.kind)} range {spread}. The hardest are
often noisy or full of fine detail, and some do not belong in the collection at all.{cut_words}</p>
<h3>Easiest</h3>
{gallery(order[:many])}
<h3>Hardest</h3>
{gallery(order[::-1][:many])}
""",
    )


def heat_maps(found: Scores) -> tuple[list[Image], list[NDArray[np.float64]], float]:
    """The images of :meth:`Scores.mapped`, the bits of each of their pixels, and where their common scale ends."""
    model = found.model
    whole = [found.images[found.looked[k]] for k in found.mapped()]
    images = [middle(image, edges(model, image.shape, MAPPED_EDGE)) for image in whole]
    maps = [model.bits(image[None]).samples[0].sum(-1) for image in images]
    return images, maps, float(np.quantile(np.concatenate([one.ravel() for one in maps]), 0.995))


def maps(found: Scores) -> str:
    """The section on where the bits go; nothing if there are no images."""
    if not len(found.bits):
        return ""
    model, chosen = found.model, found.mapped()
    images, costs, most = heat_maps(found)
    ticks = _ticks(most)
    pairs = ""
    for k, image, cost in zip(chosen, images, costs, strict=True):
        name = escape(fit(found.names[found.looked[k]], 48))
        pair = img(image, model.levels, name) + tag(figures.heat(cost, ticks[-1]), f"Heat map of {name}")
        pairs += f'<figure><div class="pair">{pair}</div>'
        pairs += f"<figcaption>{name}: {rate(cost.mean())} bits a pixel</figcaption></figure>\n"
    ramp = ", ".join(f"rgb{colour}" for colour in figures.RAMP)
    marks = "".join(f'<span style="left: {100 * tick / ticks[-1]:.4g}%">{tick:.4g}</span>' for tick in ticks)
    cut = any(image.shape != found.images[found.looked[k]].shape for k, image in zip(chosen, images, strict=True))
    more = " Of large images, the middle is shown." if cut else ""
    latents = " What the latents cost is not in the maps." if model.has_latents else ""
    return section(
        "maps",
        "Where the bits go",
        f"""<p>Dark pixels were foreseen and cost next to nothing; bright ones came as a surprise. Bits should go where
there is something to tell, along edges and into texture. All maps have one scale.{more}{latents}</p>
<div class="scale" role="img" aria-label="Colour scale, from 0, black, to {ticks[-1]:.4g} bits a pixel or more, yellow">
<div>bits a pixel</div><div class="ramp" style="background: linear-gradient(to right, {ramp})"></div>
<div class="ticks">{marks}</div></div>
<div class="pairs">
{pairs}</div>
""",
    )


def _ticks(top: float) -> list[float]:
    """Round numbers from 0 to ``top`` or a little beyond.

    >>> _ticks(23.0), _ticks(0.0)
    ([0.0, 5.0, 10.0, 15.0, 20.0, 25.0], [0.0, 0.01])
    """
    steps = [digit * 10.0**power for power in (-2, -1, 0, 1) for digit in (1, 2, 5)]
    step = next((step for step in steps if 5 * step >= top), 100.0)
    return [round(k * step, 2) for k in range(max(1, math.ceil(top / step)) + 1)]


def edges(model: Model, shape: tuple[int, ...], most: int) -> tuple[int, int]:
    """Height and width of what is cut out of an image, at most so many pixels each, if the model takes pieces."""
    height, width = (mine or min(axis, most) for mine, axis in zip(model.shape[:2], shape[:2], strict=True))
    return height, width


def middle(image: NDArray[Any], edges: tuple[int, int]) -> NDArray[Any]:
    """The middle of an image; the very same if that is all of it."""
    if image.shape[:2] == edges:
        return image
    y, x = ((axis - mine) // 2 for axis, mine in zip(image.shape[:2], edges, strict=True))
    return image[y : y + edges[0], x : x + edges[1]]


def spread(images: Sequence[Image], count: int) -> list[Image]:
    """So many of the images, at most, evenly spread."""
    count = min(count, len(images))
    return [images[k * len(images) // count] for k in range(count)]


def how_many(edges: tuple[int, int]) -> int:
    """How many images with these edges are drawn from a model."""
    return max(2, min(SHEET, DRAWN_PIXELS // (edges[0] * edges[1])))
