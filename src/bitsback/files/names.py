"""Names that are safe to extract on every system (format rules: UTF-8, NFC, ``/`` between the parts)."""

from __future__ import annotations

import re
import unicodedata

from bitsback.errors import UnsafePathError

MAX_PART = 255
"""Bytes of one part of a name in UTF-8, the limit of common file systems."""

MAX_NAME = 4096
"""Bytes of a whole name in UTF-8."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\:]")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)


def check_name(name: str) -> None:
    """Raise UnsafePathError, with the reason, unless ``name`` can be a member's name.

    Refused are names that are empty, absolute, too long, not NFC or not Unicode, that hold ``..``, a backslash, a
    colon or a control character, that end in a dot or a space, or that mean a device on Windows.

    >>> check_name("digits/0.png")
    >>> check_name("../secret")
    Traceback (most recent call last):
      ...
    bitsback.errors.UnsafePathError: '../secret': a part of the name is '..'
    """
    reason = _reason(name)
    if reason:
        raise UnsafePathError(f"{ascii(name) if not name.isprintable() else repr(name)}: {reason}")


def _reason(name: str) -> str:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "the name is not valid Unicode"
    if not name:
        return "the name is empty"
    if size > MAX_NAME:
        return f"the name is longer than {MAX_NAME} bytes"
    if unicodedata.normalize("NFC", name) != name:
        return "the name is not in Unicode normal form C"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return f"a part of the name is {part!r}"
        if len(part.encode()) > MAX_PART:
            return f"a part of the name is longer than {MAX_PART} bytes"
        if _FORBIDDEN.search(part):
            return "the name holds a backslash, a colon or a control character"
        if part[-1] in " .":
            return "a part of the name ends in a dot or a space"
        if _DEVICE.fullmatch(part):
            return "the name means a device on Windows"
    return ""
