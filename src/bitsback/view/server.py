"""The gallery by HTTP, for one user on one machine: starlette, which the extra ``view`` installs.

Nothing is written, and nothing but the archive is read. Who asks must call this machine by its own name, so that no
page of another host can read along by a name of its own for this address.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bitsback.errors import BitsBackError
from bitsback.view.gallery import Gallery

HOST = "127.0.0.1"

POLICY = "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'"
"""Whatever an archive's names say, the page loads nothing from elsewhere and runs no script but its own."""

LARGEST_EDGE = 1024
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def application(gallery: Gallery, title: str) -> Starlette:
    """The page and what it asks for; ``title`` is text."""

    def static(request: Request) -> Response:
        name = request.url.path.lstrip("/") or "page.html"
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return Response(asset(name), media_type=_TYPES[name.rpartition(".")[2]], headers=headers)

    def listed(request: Request) -> Response:
        asked = request.query_params
        total, images = gallery.list(_number(asked.get("start")), _number(asked.get("count")), asked.get("search", ""))
        return JSONResponse({"title": title, "total": total, "images": images})

    def picture(request: Request) -> Response:
        edge = min(_number(request.query_params.get("edge")), LARGEST_EDGE)
        return _image(gallery.picture(_which(request), edge))

    def bits(request: Request) -> Response:
        return _image(gallery.bits(_which(request)))

    routes: list[tuple[str, Callable[[Request], Response]]] = [
        ("/list", listed),
        ("/picture/{number:int}", picture),
        ("/bits/{number:int}", bits),
        ("/facts/{number:int}", lambda request: JSONResponse(gallery.facts(_which(request)))),
        ("/sizes/{number:int}", lambda request: JSONResponse(gallery.sizes(_which(request)))),
        *((path, static) for path in ("/", "/page.css", "/page.js")),
    ]

    async def refused(request: Request, error: Exception) -> Response:
        gone = isinstance(error, IndexError | KeyError)
        return JSONResponse({"error": "there is no such thing" if gone else str(error)}, 404 if gone else 422)

    return Starlette(
        routes=[Route(path, answer) for path, answer in routes],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
        exception_handlers={IndexError: refused, KeyError: refused, BitsBackError: refused},
    )


def asset(name: str) -> str:
    """One of the page's files."""
    return files("bitsback.view").joinpath(name).read_text("utf-8")


def serve(gallery: Gallery, title: str, port: int, ready: Callable[[str], Any]) -> None:
    """Answer until the process is interrupted. ``ready`` is told the address, once there is somebody to answer.

    Raises OSError if the port is taken.
    """
    import socket

    import uvicorn

    with socket.create_server((HOST, port)) as listener:
        ready(f"http://{HOST}:{listener.getsockname()[1]}/")
        config = uvicorn.Config(application(gallery, title), log_level="warning", lifespan="off")
        uvicorn.Server(config).run([listener])


def _which(request: Request) -> int:
    number: int = request.path_params["number"]
    return number


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _image(data: bytes) -> Response:
    return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})


__all__ = ["HOST", "application", "asset", "serve"]
