import subprocess
import sys

import pytest

from bitsback.files import formats


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\x93NUMPY\x01\x00", "npy"),
        (b"PK\x03\x04", "zip"),
        (b"PK\x03\x04".ljust(26, b"\0") + b"\5\0\0\0a.npy", "npz"),
        (b"PK\x03\x04".ljust(26, b"\0") + b"\5\0\0\0a.png", "zip"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"II*\x00", "tiff"),
        (b"MM\x00*", "tiff"),
        (b"II+\x00\x08\x00", "tiff"),
        (b"MM\x00+\x00\x08", "tiff"),
        (b"MM+\x00", None),
        (b"\x00\x00\x08\x03", "idx"),
        (b"BM", "bmp"),
        (b"P1\n", "pnm"),
        (b"P6 ", "pnm"),
        (b"P2#", "pnm"),
        (b"P7\n", None),
        (b"P55", None),
        (b"\x89PNG\n\x1a\n", None),
        (b"\x00\x00\x08\x01", None),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"", None),
    ],
)
def test_recognise(head, name):
    assert formats.recognise(head) == name
    assert formats.recognise(memoryview(head)) == name


def test_the_compiler_is_not_imported_without_need():
    """Text, arrays and simple images need no compiled code, and starting it takes longer than reading them."""
    script = (
        "import sys; from bitsback.files import parse\n"
        "parse(b'text'), parse(b'P5 3 2 255 abcdef'), parse(b'\\x89PNG')\n"
        "print('llvmlite' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
