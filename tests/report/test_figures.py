import base64
import doctest
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitsback.report import figures
from bitsback.report.figures import Bar, Level, bars, curves, heat, shown


def opened(found: tuple[str, int, int]) -> Image.Image:
    kind, _, data = found[0].partition(";base64,")
    assert kind in ("data:image/png", "data:image/webp")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.size == found[1:]
    return picture


def words(chart: str) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", chart)


def test_examples() -> None:
    assert doctest.testmod(figures).failed == 0


@given(places=st.lists(st.floats(0, 300), max_size=9), gap=st.floats(1, 30))
def test_labels_are_movedapart(places: list[float], gap: float) -> None:
    moved = figures.apart(sorted(places), gap)
    assert len(moved) == len(places)
    assert (np.diff(moved) >= gap - 1e-6).all()
    if (np.diff(sorted(places)) >= gap).all():
        assert np.allclose(moved, sorted(places))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_small_images_are_shown_as_they_are(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 12, channels), np.uint8)
    assert np.array_equal(np.asarray(opened(shown(image, 256))).reshape(image.shape), image)


def test_two_values_are_black_and_white() -> None:
    image = np.random.default_rng(0).integers(0, 2, (7, 12, 1), np.uint8)
    assert np.array_equal(np.asarray(opened(shown(image, 2))), image[..., 0] * 255)


@pytest.mark.parametrize("shape", [(500, 700), (3, 2000), (2000, 1)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_large_images_are_shrunk(shape: tuple[int, int], channels: int) -> None:
    image = np.full((*shape, channels), 130, np.uint8)
    width, height = opened(shown(image, 256)).size
    assert max(width, height) == figures.SHRUNK
    assert shown(image, 256)[1:] == heat(np.zeros(shape), 1.0)[1:]


def test_heat_goes_from_dark_to_light() -> None:
    pixels = np.asarray(opened(heat(np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 9.0]]), 4.0)))[0]
    assert np.array_equal(pixels[[0, 1, 2, 3, 4]], figures.RAMP) and np.array_equal(pixels[5], pixels[4])
    light = np.array(figures.RAMP) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(light) > 20).all()


def test_bars() -> None:
    pytest.importorskip("matplotlib")
    chart = bars([Bar("mine & <yours>", 10, "10", True), Bar("PNG", 40, "40", False)])
    assert words(chart) == ["mine &amp; &lt;yours&gt;", "10", "PNG", "40"] * 2
    assert 'aria-label="Bars: mine &amp; &lt;yours&gt; 10; PNG 40"' in chart
    assert_stands_alone(chart)


def test_curves() -> None:
    pytest.importorskip("matplotlib")
    minutes = [k / 2 for k in range(40)]
    falling = [4 + 3 * 0.6**k for k in range(40)]
    levels = [Level("shipped models (model x)", 4.1), Level("JPEG XL 9", 4.8), Level("WebP", 5.0), Level("PNG", 9)]
    chart, beyond = curves(minutes, [one - 0.1 for one in falling], falling, levels)
    assert [one.name for one in beyond] == ["PNG"]
    assert {"held out 4.00", "in training 3.90", "shipped models 4.10", "JPEG XL 9 4.80", "WebP 5.00"} < set(
        words(chart)
    )
    assert {"held out", "in training", "JPEG XL 9", "minutes of training"} < set(words(chart))
    assert "PNG" not in chart
    assert_stands_alone(chart)


@pytest.mark.parametrize("count", [1, 2, 11])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_curves_of_few_points(count: int, value: float) -> None:
    pytest.importorskip("matplotlib")
    minutes = [0.0 if count == 1 else k * 0.1 for k in range(count)]
    chart, beyond = curves(minutes, [value] * count, [value] * count, [Level("PNG", value)])
    assert "held out" in words(chart) and not beyond
    assert_stands_alone(chart)


def assert_stands_alone(chart: str) -> None:
    """Colours from the page, ids of its own, and nothing from elsewhere."""
    assert "http" not in chart and "xml" not in chart and "<metadata" not in chart
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]*)", chart)) <= {
        "none", "var(--ink)", "var(--muted)", "var(--line)", "var(--new)", "var(--other)",
    }  # fmt: skip
    ids = re.findall(r' id="([^"]*)"', chart)
    assert len(ids) == len(set(ids))
    assert {name for pair in re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', chart) for name in pair if name} <= set(ids)
    assert "DejaVu" not in chart
