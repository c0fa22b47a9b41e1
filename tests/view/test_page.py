"""The page in a browser, as somebody with a keyboard and a small screen would have it."""

import importlib.util
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitsback
from bitsback.view import export
from bitsback.view.gallery import Gallery

SHELL = shutil.which("chromium-headless-shell") or shutil.which("chromium")

pytestmark = pytest.mark.skipif(
    not SHELL or not all(map(importlib.util.find_spec, ("playwright", "starlette", "uvicorn"))),
    reason="looking at the page needs the extra view, playwright, and Debian's chromium",
)

COUNT = 3000


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    import uvicorn
    from playwright.sync_api import sync_playwright

    from bitsback.view.server import application

    images = np.random.default_rng(0).integers(0, 2, (COUNT, 5, 5), np.uint8) * 255
    with bitsback.open(bitsback.compress(images, model="none", effort="fast")) as archive:
        config = uvicorn.Config(application(Gallery(archive), "a<b>.bba"), port=0, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=SHELL, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 400, "height": 700}, color_scheme="dark")
            page.heard = []
            page.on("console", lambda message: page.heard.append(message.text))
            page.on("pageerror", lambda error: page.heard.append(str(error)))
            page.on("request", lambda asked: asked.url.startswith(root) or page.heard.append(asked.url))
            while not server.started:
                page.wait_for_timeout(10)
            root = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
            page.goto(root)
            page.wait_for_selector("#grid img")
            yield page
            browser.close()
        server.should_exit = True
        thread.join()


def shown(page: Any, words: str) -> None:
    """Wait until so many images are told of."""
    from playwright.sync_api import expect

    expect(page.locator("#count")).to_contain_text(words)


def test_a_grid_with_few_cells_however_many_images(page: Any) -> None:
    shown(page, f"{COUNT:,}")
    page.keyboard.press("End")  # the keys are the grid's from the beginning
    assert page.evaluate("document.querySelector('#grid').scrollTop") > 1000
    assert page.locator("#grid img").count() < 500
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_by_keys_to_an_image_and_back(page: Any) -> None:
    page.focus("#grid")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] #facts dd")
    assert "array.npy" in page.inner_text("#name")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_search_and_no_complaints(page: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("nothing of that name")
    shown(page, "0 images found")
    page.fill("#search", "ARRAY")
    shown(page, f"{COUNT:,}")
    assert page.heard == []


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_by_itself_is_a_grid(page: Any, width: int, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 255, (60, 20, 28), np.uint8)
    with bitsback.open(bitsback.compress(images, model="none", effort="fast")) as archive:
        (tmp_path / "page.html").write_text(export.page(Gallery(archive), "a.bba"), "utf-8")
    alone = page.context.browser.new_page(viewport={"width": width, "height": 700})
    alone.goto((tmp_path / "page.html").as_uri())
    boxes = [one.bounding_box() for one in alone.locator(".thumbs img").all()]
    assert len(boxes) == 60 and all(80 < box["width"] < 200 and box["width"] == box["height"] for box in boxes)
    assert len({box["x"] for box in boxes}) >= 3
    assert alone.evaluate("document.documentElement.scrollWidth") <= width
    alone.close()
