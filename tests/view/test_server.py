"""The page by HTTP."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pytest

import bitsback
from bitsback.view.gallery import Gallery

pytest.importorskip("starlette")

from bitsback.view.server import application


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


Get = Callable[..., Answer]


@pytest.fixture(scope="module")
def get() -> Iterator[Get]:
    images = np.arange(6 * 5 * 9, dtype=np.uint16).astype(np.uint8).reshape(6, 5, 9)
    with bitsback.open(bitsback.compress(images, model="none")) as archive:
        app = application(Gallery(archive), "a<b>.bba")

        def get(path: str, host: str = "127.0.0.1:8000", **asked: object) -> Answer:
            sent: list[dict[str, Any]] = []
            scope = {
                "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
                "path": path, "raw_path": path.encode(), "query_string": urlencode(asked).encode(), "root_path": "",
                "headers": [(b"host", host.encode())],
            }  # fmt: skip

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
            headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
            return Answer(sent[0]["status"], headers, b"".join(part.get("body", b"") for part in sent[1:]))

        yield get


def test_what_the_page_asks_for(get: Get) -> None:
    listed = get("/list", start=4, count=10).json()
    assert (listed["title"], listed["total"]) == ("a<b>.bba", 6)
    assert listed["images"] == [[4, "array.npy", 5, 9], [5, "array.npy", 5, 9]]
    picture = get("/picture/2")
    assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    assert get("/facts/2").json()["of"] == 6 and get("/sizes/2").json()["raw"] == 45
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        found = get(path)
        assert (
            found.headers["content-type"].startswith(kind)
            and "default-src 'none'" in found.headers["content-security-policy"]
        )


def test_what_there_is_not(get: Get) -> None:
    for path in ("/picture/6", "/facts/99999999999999999999", "/sizes/6", "/page.py", "/../server.py", "/picture/x"):
        assert get(path).status == 404
    assert get("/bits/2").status == 422  # no model tells
    assert get("/list", start="x", count="-1").json()["images"] == []


def test_only_this_machine_is_answered(get: Get) -> None:
    assert get("/list", host="example.org").status == 400
