"""What is fetched of an archive behind a web server: to list it, and for one image of 10,000.

    python benchmarks/ranges.py --out benchmarks/results/ranges.json

Digits of the MNIST test set as PGM files, each a member; the archive lies behind a server of this process that can send
parts and counts them. Every figure is of a process' first look: nothing is kept from the one before.
"""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
from PIL import Image

import bitsback
import measure
from bitsback.integrations.fsspec import ArchiveFileSystem


class Server(http.server.BaseHTTPRequestHandler):
    """One file."""

    data, sent, asked = b"", 0, 0

    def do_HEAD(self) -> None:
        """Its size."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def do_GET(self) -> None:
        """A part of it."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found
        part = self.data[int(found[1]) : int(found[2]) + 1]
        Server.sent, Server.asked = Server.sent + len(part), Server.asked + 1
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {found[1]}-{int(found[1]) + len(part) - 1}/{len(self.data)}")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *what: object) -> None:
        """Nothing."""


def main() -> None:
    """See the top of the file."""
    parser = measure.arguments("What is fetched of an archive behind a web server.", "ranges.json")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "digits")
        folder.mkdir()
        for number, image in enumerate(measure.digits(options.data, "8-bit", options.images)):
            Image.fromarray(image).save(folder / f"{number:05d}.pgm")
        Server.data = bitsback.compress(folder, model="digits", verify=False)
        middle = folder / f"{options.images // 2:05d}.pgm"
        expected = middle.read_bytes()
    found = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.bba"

        def listed(files: ArchiveFileSystem) -> None:
            assert len(files.find("")) == options.images

        def one(files: ArchiveFileSystem) -> None:
            (name,) = (name for name in files.find("") if name.endswith(f"/{middle.name}"))
            assert files.cat_file(name) == expected

        tasks: dict[str, Callable[[ArchiveFileSystem], None]] = {"list": listed, "one image": one}
        for what, task in tasks.items():
            Server.sent = Server.asked = 0
            files = fsspec.filesystem("bitsback", fo=url)
            task(files)
            found[what] = {"bytes": Server.sent, "requests": Server.asked}
            files.close()
        server.shutdown()
    result = {"images": options.images, "archive": len(Server.data), "fetched": found}
    print(result)
    measure.write(options.out, {"machine": measure.machine(), **result})


if __name__ == "__main__":
    main()
