"""The page "The stack, to touch": its arithmetic is the library's, and its boxes do what they say."""

import functools
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitsback.ans import Stack
from bitsback.codecs import BitsBack, Categorical, CdfTable

FOLDER = Path(__file__).parents[2] / "docs/lab/stack"
CODER = (FOLDER / "coder.js").read_text("utf-8")
SHELL = shutil.which("chromium-headless-shell") or shutil.which("chromium")


def known() -> dict[str, Any]:
    """What the page was told of the library."""
    return json.loads(re.search(r"^export const KNOWN = (\{.*?^\});$", CODER, re.DOTALL | re.MULTILINE)[1])


def tables(name: str) -> CdfTable:
    """The tables of the page's model."""
    return CdfTable.from_freqs(json.loads(re.search(rf"^  {name}: (\[.*\])\.map\(table\),$", CODER, re.MULTILINE)[1]))


def test_the_numbers_that_the_page_knows_are_the_librarys() -> None:
    pushed = known()["pushed"]
    starts, freqs = (np.array(pushed[name], np.uint32) for name in ("starts", "freqs"))
    stack = Stack()
    stack.push(starts, freqs, pushed["precision"])
    assert len(starts) >= 40 and len(stack) >= 5
    assert (str(stack.heads[0]), stack.words.tolist()) == (pushed["head"], pushed["words"])

    chain = known()["bits_back"]
    likelihood, posterior = tables("likelihood"), tables("posterior")
    prior = Categorical([[0, 4, 8, 12, 16]], 0)
    codec = BitsBack(prior, lambda z: Categorical(likelihood, z), lambda x: Categorical(posterior, x))
    stack = Stack.unpack((1 << 32).to_bytes(8, "little") + np.array(chain["words"], "<u4").tobytes(), 1)
    for x in chain["data"]:
        codec.push(stack, np.array(x))
    assert (str(stack.heads[0]), stack.words.tolist()) == (chain["head"], chain["left"])
    assert set(chain["data"]) == set(range(6))


@pytest.mark.skipif(not shutil.which("node"), reason="running the page's script outside a browser needs Node.js")
def test_the_script_comes_to_the_same_numbers() -> None:
    def run(script: str) -> list[str]:
        text = f"{script}\nconsole.log(JSON.stringify(differences()));\n"
        done = subprocess.run(["node", "--input-type=module"], input=text, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    assert run(CODER) == []
    head = known()["bits_back"]["head"]
    assert run(CODER.replace(head, str(int(head) + 1))) == ["bits back"]  # it would notice
    assert "what was pushed" in run(CODER.replace("+ s + reduced % f", "+ s + reduced % (f + 1n)"))


@pytest.fixture(scope="module")
def page(site: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=SHELL, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 400, "height": 900})
        page.heard = []
        page.on("console", lambda message: page.heard.append(message.text))
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_port}/lab/stack/")
        page.wait_for_selector("#stack-page[data-arithmetic]")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(
    not SHELL or not importlib.util.find_spec("playwright") or not importlib.util.find_spec("mkdocs"),
    reason="looking at the page needs the extra docs, playwright, and Debian's chromium",
)
class TestInABrowser:
    def test_arithmetic_and_no_complaints(self, page: Any) -> None:
        assert page.get_attribute("#stack-page", "data-arithmetic") == "as the library's"
        assert page.heard == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 400

    def test_symbols_by_keys_and_buttons(self, page: Any) -> None:
        page.focus(".stack-part:has(#stack-symbols)")
        for key in "abcd":
            page.keyboard.press(key)
        page.click("[data-push=a]")
        assert page.inner_text("[data-order]") == "abcda"
        page.focus(".stack-part:has(#stack-symbols)")
        for _ in range(5):
            page.keyboard.press("Backspace")
        assert page.inner_text("[data-order]") == "nothing"
        assert "head 256" in page.inner_text("#stack-symbols .scale")
        page.keyboard.press("Backspace")
        page.keyboard.press("Backspace")
        assert "EmptyStackError" in page.inner_text("#stack-symbols .told")

    def test_bits_back_there_and_back_and_with_a_flipped_bit(self, page: Any) -> None:
        box = "#stack-bits-back"
        page.focus(f".stack-part:has({box})")
        page.keyboard.press("End")
        assert "to the last bit" in page.inner_text(f"{box} .told")
        assert page.locator(f"{box} .wrong").count() == 0 and page.locator(f"{box} .done").count() == 12
        first = page.inner_text(f"{box} .sum")
        page.keyboard.press("Home")
        page.keyboard.press("m")
        page.locator(f"{box} button.bit").last.click()
        page.click(f"{box} [data-end]")
        assert page.locator(f"{box} .wrong").count() > 0 or "not as it was" in page.inner_text(f"{box} .told")
        assert "A bit was flipped" in page.inner_text(f"{box} .sum") and "flipped" not in first

    def test_a_queue_that_lent_its_front(self, page: Any) -> None:
        box = "#stack-queue"
        page.click(f"{box} [data-put=C]")
        assert page.locator(f"{box} .wrong").count() == 0 and page.locator(f"{box} .done").count() == 10
        page.click(f"{box} [data-take]")
        assert page.locator(f"{box} .wrong").count() > 0
        assert page.heard == []
