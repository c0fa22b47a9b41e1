"""A web server of one file that can send parts of it, and counts what it sends. Used by tests and benchmarks."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Parts(http.server.BaseHTTPRequestHandler):
    """Whatever is asked for is ``data``; ``sent`` bytes of it in ``asked`` answers. A name with "whole" in it is sent
    as by a server that cannot send parts."""

    data, sent, asked = b"", 0, 0

    def do_HEAD(self) -> None:
        self._begin(200, len(self.data), {} if self._whole else {"Accept-Ranges": "bytes"})

    def do_GET(self) -> None:
        if self._whole:
            self._begin(200, len(self.data))
            self.wfile.write(self.data)
            return
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        part = self.data[first : last + 1]
        Parts.sent, Parts.asked = Parts.sent + len(part), Parts.asked + 1
        self._begin(206, len(part), {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(self.data)}"})
        self.wfile.write(part)

    def log_message(self, *what: object) -> None:
        pass

    @property
    def _whole(self) -> bool:
        return "whole" in self.path

    def _begin(self, status: int, length: int, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving() -> Iterator[str]:
    """The URL of such a server, for as long as this lasts; what it has is put into :class:`Parts`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parts) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.bba"
        server.shutdown()
