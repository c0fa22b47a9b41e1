"""The charts of a look into a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.report.figures import INK, MUTED, NEW, OTHER, RAMP, WIDE, Chart, Image, blank, plain
from bitsback.report.words import rate


def columns(bits: NDArray[np.float64], idle: float) -> Chart:
    """What each latent carries, largest first; those below ``idle`` grey."""
    order = np.sort(bits)[::-1]

    def draw(width: int) -> Any:
        wide = width == WIDE
        height, left, size = (320, 52, 14) if wide else (240, 44, 12)
        figure = blank(width, height)
        axes = figure.add_axes((left / width, 50 / height, 1 - (left + 8) / width, 1 - 66 / height))
        plain(axes, size)
        axes.bar(np.arange(1, len(order) + 1), order, 0.72, color=[NEW if one >= idle else OTHER for one in order])
        axes.set_xlim(0.3, len(order) + 0.7)
        axes.set_ylim(0, max(float(order[0]), idle) * 1.05)
        axes.set_xlabel(f"{len(order)} latents, sorted", color=MUTED, fontsize=size, labelpad=8)
        axes.set_ylabel("bits", color=MUTED, fontsize=size)
        axes.locator_params(axis="y", nbins=5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        return figure

    active = int((order >= idle).sum())
    spoken = f"Columns: {active} of {len(order)} latents carry {idle} bits or more, the most {rate(float(order[0]))}"
    return Chart("columns", spoken, draw)


def costs(images: Sequence[Image], maps: Sequence[NDArray[np.float64]], top: float, levels: int) -> Chart:
    """Images and below each what its pixels cost, on one scale."""

    def draw(width: int) -> Any:
        from matplotlib.colors import LinearSegmentedColormap

        ramp = LinearSegmentedColormap.from_list("ramp", [tuple(c / 255 for c in colour) for colour in RAMP])
        cell = (width - 90) / len(images)
        tall = (cell - 8) * max(min(image.shape[0] / image.shape[1], 1.5) for image in images)
        height = 2 * tall + 24
        figure = blank(width, round(height))
        shown = None

        def place(column: int, row: int) -> Any:
            left, bottom = column * cell / width, 1 - (row + 1) * (tall + 8) / height
            axes = figure.add_axes((left, bottom, (cell - 8) / width, tall / height))
            axes.set_axis_off()
            return axes

        for k, (image, one) in enumerate(zip(images, maps, strict=True)):
            samples = image * np.uint8(255 if levels == 2 else 1)
            flat = samples[..., 0] if samples.shape[2] == 1 else samples
            place(k, 0).imshow(flat, cmap="grey", vmin=0, vmax=255, interpolation="none")
            shown = place(k, 1).imshow(one, cmap=ramp, vmin=0, vmax=top or 1, interpolation="none")
        bar = figure.add_axes((1 - 76 / width, 1 - 2 * (tall + 8) / height, 14 / width, tall / height))
        scale = figure.colorbar(shown, cax=bar)
        scale.outline.set_visible(False)
        bar.tick_params(colors=MUTED, labelsize=12, length=0)
        bar.set_ylabel("bits a pixel", color=INK, fontsize=13)
        return figure

    return Chart("costs", f"{len(images)} images and what their pixels cost, up to {rate(top)} bits", draw)
