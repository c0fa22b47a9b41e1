import io
import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from bitsback.errors import ImageError
from bitsback.lab.model import Look, figures, fitting, html, look
from bitsback.models import Model
from helpers import Reader, tiny_model
from models.context_models import context_file

HOSTILE = "<script>alert('x')</script>\"&.png"
WITH_LATENTS = ["samples", "again", "information", "traversals", "maps", "extremes", "model"]


@pytest.fixture(scope="module")
def found() -> Look:
    model = tiny_model(256)
    images = list(model.draw(12))
    return look(model, images, [HOSTILE, *(f"{k}.png" for k in range(11))], samples=5)


@pytest.fixture(scope="module")
def page(found: Look) -> str:
    pytest.importorskip("matplotlib")
    return html(found)


def test_the_page_of_a_model_with_latents(page: str, found: Look) -> None:
    reader = Reader(page)
    assert reader.of("section", "aria-labelledby") == WITH_LATENTS
    ids = [value for _, one in reader.tags if (value := one.get("id")) is not None]
    assert len(ids) == len(set(ids))
    headings = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and all(b <= a + 1 for a, b in itertools.pairwise(headings))
    assert found.information is not None and found.scores is not None
    assert f"{found.information.sum():.1f}" in reader.text and f"{found.scores.bits.mean():.4f}" in reader.text
    assert len(page) < 3_000_000


def test_nothing_is_fetched_and_names_are_text(page: str) -> None:
    assert "http:" not in page and "https:" not in page and "<script" not in page
    reader = Reader(page)
    assert all(value.startswith("data:") for value in reader.of("img", "src"))
    assert HOSTILE[:20] in reader.text


def test_without_images_there_are_samples() -> None:
    model = Model.from_bytes(context_file((1, "median", 0, 256)))
    alone = look(model, [], [], samples=3)
    assert alone.drawn.shape == (3, 64, 64, 1) and alone.scores is None
    reader = Reader(html(alone))
    assert reader.of("section", "aria-labelledby") == ["samples", "model"]
    assert len(reader.of("img", "src")) == 3 and "samples only" in reader.text
    assert list(figures(alone)) == ["samples.png"]


def test_a_model_without_latents() -> None:
    pytest.importorskip("matplotlib")
    model = Model.from_bytes(context_file((3, "regression", 0, 256)))
    images = list(model.draw(4, (16, 24, 3)))
    seen = look(model, images, [f"{k}" for k in range(4)], samples=2)
    assert Reader(html(seen)).of("section", "aria-labelledby") == ["samples", "maps", "extremes", "model"]
    assert sorted(figures(seen)) == ["costs.svg", "easiest.png", "hardest.png", "samples.png"]


def test_figures_are_whole_and_always_the_same(found: Look) -> None:
    pytest.importorskip("matplotlib")
    made = figures(found)
    images = ["easiest", "hardest", "reconstructions", "samples", "traversals"]
    assert sorted(made) == sorted([*(f"{name}.png" for name in images), "costs.svg", "latents.svg"])
    for name, data in made.items():
        if name.endswith(".svg"):
            text = data.decode()
            assert ElementTree.fromstring(text).tag.endswith("svg")
            assert not re.search(r"#0[1-5]0[1-5]0[1-5]\b|var\(", text)
        else:
            Image.open(io.BytesIO(data)).verify()
    assert figures(found) == made


def test_images_of_another_kind() -> None:
    with pytest.raises(ImageError, match=r"other\.png: the model tiny-256 takes 8x12 grey"):
        look(tiny_model(256), [np.zeros((9, 9, 1), np.uint8)], ["other.png"])


def test_what_fits() -> None:
    grey, binary = tiny_model(256), tiny_model(2)
    part = np.zeros((2, 8, 12, 1), np.uint8)
    part[0, 0] = 200
    assert fitting(grey, part) is not None and fitting(grey, part.astype(np.uint16)) is None
    two = fitting(binary, part)
    assert two is not None and two.max() == 1 and (two == part // 200).all()
    part[1, 1] = 7
    assert fitting(binary, part) is None
    assert fitting(binary, part[:, :5]) is None
    white = fitting(binary, np.full((1, 8, 12, 1), 255, np.uint8))
    assert white is not None and (white == 1).all()
