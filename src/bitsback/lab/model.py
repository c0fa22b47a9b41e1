"""A look into a model: what it imagines, what its latents hold, where it spends its bits. One HTML page, and figures.

:func:`look` gathers everything; :func:`html` and :func:`figures` show it.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bitsback
from bitsback.errors import ImageError
from bitsback.files import levels
from bitsback.lab import latents
from bitsback.lab import model_charts as charts
from bitsback.models import Model
from bitsback.report import views
from bitsback.report.figures import Image
from bitsback.report.page import chart, document, facts, key, section, sheet, strips
from bitsback.report.views import Scores
from bitsback.report.words import count, rate, size

SIZE = 64
"""Pixels an edge of what is drawn from a model that takes any size, if no image shows a size."""

INFORMED = 256
"""Images from which the information in the latents is estimated, at most."""

AGAIN, DRAWS = 8, 3
"""Images that are reconstructed, and how often."""

MOVED, STEPS = 6, 9
"""Latents that are moved, and images of each."""

SMALL, COLUMNS = 48, 8
"""Pixels an edge up to which samples are shown in rows of so many."""

MAPPED = 192
"""Pixels an edge of the images in the figure of costs, at most."""

IDLE = 0.01
"""Bits an image below which a latent is called idle."""


@dataclass(frozen=True)
class Traversal:
    """A latent, and images drawn while it moves through its prior."""

    latent: int
    images: NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        model: the model.
        drawn: images from random bits, uint8 (n, height, width, channels).
        scores: of the images; None without any.
        originals: images that were reconstructed, (n, ...), and again: (times, n, ...); for a model with latents only.
        information: bits that each latent carries of an image, on average, (latents,).
        traversals: of the latents that carry most.
    """

    model: Model
    drawn: NDArray[np.uint8]
    scores: Scores | None = None
    originals: NDArray[np.uint8] | None = None
    again: NDArray[np.uint8] | None = None
    information: NDArray[np.float64] | None = None
    traversals: Sequence[Traversal] = ()


def fitting(model: Model, part: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Images (n, height, width, channels) as the model takes them; None if it does not.

    A model of two levels takes images of any two values, the lower as 0 and the higher as 1.
    """
    shape = part.shape[1:]
    if model.levels == 256:
        return part.astype(np.uint8) if model.accepts(shape, part.dtype) else None
    if not model.accepts(shape, np.uint8, 2):
        return None
    both = levels(part)
    if both is None:
        return None
    # Of one value only: what is not black is white
    ones: NDArray[np.bool] = part == both[1] if both[0] < both[1] else part != 0
    return ones.astype(np.uint8)


def look(model: Model, images: Sequence[Image], names: Sequence[str], samples: int = 16, seed: int = 0) -> Look:
    """Look into a model, with images of its kind, or with none.

    Args:
        images: uint8 (height, width, channels) each, as from :func:`fitting`; names of them.
        samples: how many images to draw.
        seed: of all that is drawn.

    Raises:
        ImageError: an image is not the model's kind.
    """
    for image, name in zip(images, names, strict=True):
        if not model.accepts(image.shape, image.dtype, 2 if image.size and image.max() <= 1 else None):
            raise ImageError(f"{name}: the model {model.name} takes {model.takes}")
    if not images:
        height, width, channels = model.shape
        return Look(model, model.draw(samples, (height or SIZE, width or SIZE, channels), seed))
    (height, width, channels), _ = Counter(image.shape for image in images).most_common(1)[0]
    drawn = model.draw(samples, (*views.edges(model, (height, width), views.DRAWN_EDGE), channels), seed)
    scores = views.scores(model, images, names)
    if not model.has_latents:
        return Look(model, drawn, scores)
    some = np.stack(views.spread(images, INFORMED))
    information = latents.distributions(model).information(some).mean(0)
    originals = np.stack(views.spread(images, AGAIN))
    again = latents.again(model, originals, DRAWS, seed)
    buckets = latents.quantiles(model, STEPS)
    most = [int(k) for k in np.argsort(-information, kind="stable")[:MOVED] if information[k] >= IDLE]
    moved = [Traversal(k, latents.traversal(model, originals[:1], k, buckets, seed)) for k in most]
    return Look(model, drawn, scores, originals, again, information, moved)


# The page ------------------------------------------------------------------------------------------------------------


def html(found: Look) -> str:
    """What was found as one HTML page, at most about 3 MB. It needs nothing but itself."""
    model, scores = found.model, found.scores
    parts = [_samples(found)]
    if found.information is not None:
        parts += [_again(found), _information(found), _traversals(found)]
    if scores is not None:
        parts += [views.maps(scores), views.extremes(scores)]
    parts += [_facts(model)]
    head = f"""<p class="what">bitsback lab · {escape(model.name)}</p>
<h1>A look into {escape(model.name)}</h1>
<p>{_lead(found)}</p>
{_key(found)}"""
    foot = f"<p>Written by bitsback {escape(bitsback.__version__)}. This page needs nothing but this file.</p>"
    return document(f"{model.name}: a look into the model", head, "".join(parts), foot)


def _lead(found: Look) -> str:
    words = found.model.config.sentence()
    return words + ("" if found.scores else " No images were given, so there are samples only.")


def _key(found: Look) -> str:
    cells = []
    if found.scores is not None:
        looked = len(found.scores.bits)
        cells += [(f"{found.scores.bits.mean():.4f}", f"bits/dim, the average of {count(looked, 'image')}")]
    if found.information is not None:
        active = int((found.information >= IDLE).sum())
        cells += [(f"{found.information.sum():.1f}", "bits of an image that its latents carry")]
        cells += [(f"{active} of {len(found.information)}", f"latents carry {IDLE} bits or more")]
    return key([*cells, (size(len(found.model.data)), "model file")])


def _samples(found: Look) -> str:
    drawn, shown = list(found.drawn), found.model.levels
    if max(drawn[0].shape[:2]) > SMALL:
        pictures = sheet(drawn, shown, "Image from random bits")
    else:
        pictures = strips([drawn[k : k + COLUMNS] for k in range(0, len(drawn), COLUMNS)], shown)
    return section(
        "samples",
        "What it imagines",
        f"""<p>These images came out of random bits. To decode is to pop symbols from a stack, each under the
distribution that the model gives it. From bits that are random, a symbol of probability p comes out with probability p.
So the images are samples from the model; those that it finds likely are those that compress well.</p>
{pictures}
""",
    )


def _again(found: Look) -> str:
    rows = []
    if found.originals is not None and found.again is not None:
        rows = [[one, *draws] for one, draws in zip(found.originals, found.again.swapaxes(0, 1), strict=True)]
    more = (
        " Pixels are drawn one after another here, each knowing its neighbours, so a draw is a likely image by itself, "
        "if not the same one."
        if found.model.config.sees_neighbours
        else " Each pixel is drawn by itself, so where the model is unsure, a draw is noisy."
    )
    return section(
        "again",
        "What the latents keep",
        f"""<p>On the left an image x. Beside it, {DRAWS} draws from p(x&#8239;|&#8239;z), each with a z of its own from
the posterior q(z&#8239;|&#8239;x). What the draws share is what the latents hold; where they differ, the pixels’ own
bits tell the rest, and with these every image comes back exactly.{more}</p>
{strips(rows, found.model.levels, ["original", *("drawn again" for _ in range(DRAWS))])}
""",
    )


def _information(found: Look) -> str:
    bits = found.information
    if bits is None:
        return ""
    idle = int((bits < IDLE).sum())
    rest = f" The other {idle} are idle: their posterior is the prior, and they cost nothing." if idle else ""
    return section(
        "information",
        "How many bits each latent carries",
        f"""<p>Latent i costs log 1/p(z<sub>i</sub>) bits when it is pushed, and log 1/q(z<sub>i</sub>&#8239;|&#8239;x)
bits come back. The difference, on average over the posterior, is KL(q‖p): what the image says about that latent.
Sorted here, with the average over images.{rest}</p>
<figure>{chart(charts.columns(bits, IDLE).html)}
<figcaption>Bits an image that each latent carries, the most telling first.</figcaption></figure>
""",
    )


def _traversals(found: Look) -> str:
    if not found.traversals:
        return ""
    rows = [list(one.images) for one in found.traversals]
    bits = found.information if found.information is not None else np.zeros(0)
    words = [f"latent {one.latent}, {rate(bits[one.latent])} bits" for one in found.traversals]
    return section(
        "traversals",
        "What each latent does",
        f"""<p>Here z is that of one image, but for one latent, which moves through its prior from left to right in
{STEPS} steps of equal probability. Pixels are popped from the same random bits each time.</p>
{strips(rows, found.model.levels, [], words)}
""",
    )


def _facts(model: Model) -> str:
    rows = [("name", model.name), ("takes", model.takes), *model.config.lines()]
    rows += [("file", f"{len(model.data):,} bytes, SHA-256 {model.id}")]
    return section("model", "The model", facts(rows))


# The figures ---------------------------------------------------------------------------------------------------------


def figures(found: Look) -> dict[str, bytes]:
    """The figures by themselves, by the name of their file: PNG for images, SVG for charts."""
    shown = found.model.levels
    made = {"samples.png": _png(_grid([list(found.drawn[k : k + 4]) for k in range(0, len(found.drawn), 4)], shown))}
    if found.originals is not None and found.again is not None:
        rows = [[one, *draws] for one, draws in zip(found.originals, found.again.swapaxes(0, 1), strict=True)]
        made["reconstructions.png"] = _png(_grid(rows, shown))
    if found.information is not None:
        made["latents.svg"] = charts.columns(found.information, IDLE).svg()
    if found.traversals:
        made["traversals.png"] = _png(_grid([list(one.images) for one in found.traversals], shown))
    if found.scores is not None and len(found.scores.bits):
        images, costs, most = views.heat_maps(found.scores)
        parts = [[views.middle(one, _within(one, MAPPED)) for one in each] for each in (images, costs)]
        made["costs.svg"] = charts.costs(parts[0], parts[1], most, shown).svg()
        order = found.scores.order()
        many = min(views.EXTREMES, len(order) // 2)
        for name, places in (("easiest", order[:many]), ("hardest", order[::-1][:many])):
            whole = [found.scores.images[found.scores.looked[k]] for k in places]
            row = [views.middle(image, _within(image, views.SCORED_EDGE // 2)) for image in whole]
            if row:
                made[f"{name}.png"] = _png(_grid([row], shown))
    return made


def _within(image: NDArray[Any], most: int) -> tuple[int, int]:
    """Height and width of the middle of an image, at most so many pixels each."""
    return min(image.shape[0], most), min(image.shape[1], most)


def _grid(rows: Sequence[Sequence[Image]], levels: int) -> Image:
    """Images in rows, small ones enlarged, with thin white lines between; (height, width, channels)."""
    scale = max(1, 112 // max(max(image.shape[:2]) for row in rows for image in row))
    gap = 4
    height = max(image.shape[0] for row in rows for image in row) * scale + gap
    width = max(image.shape[1] for row in rows for image in row) * scale + gap
    channels = rows[0][0].shape[2]
    sheet = np.full((height * len(rows) + gap, width * max(map(len, rows)) + gap, channels), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            big = image.repeat(scale, 0).repeat(scale, 1) * np.uint8(255 if levels == 2 else 1)
            at = y * height + gap, x * width + gap
            sheet[at[0] : at[0] + big.shape[0], at[1] : at[1] + big.shape[1]] = big
    return sheet


def _png(image: Image) -> bytes:
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG", optimize=True)
    return stream.getvalue()
