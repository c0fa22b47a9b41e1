"""Known answers: that this machine, with these kernels, computes what every other one does.

An archive is of no use where its decoder computes something else, and decoding again with the same kernels finds no
fault with them. So, before a kind codes anything, it codes something known, and compares with what came of that where
the kind, or the model, was made. Encoding and decoding are proved apart, since they may be different kernels: encoding
by the payload of known images; decoding by what known bits are decoded to, and by the state in which they leave the
stack.

What was found right is remembered, in the process and in the folder of the compiled kernels, which is another one for
other kernels.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from bitsback import kernels
from bitsback.errors import CodecError, EmptyStackError, FormatError, InexactEngineError

if TYPE_CHECKING:
    from bitsback.ans import Stack
    from bitsback.kinds.base import Images, ImageSpec, Shape, Trained

COUNT, HEIGHT, WIDTH = 4, 11, 13
"""Of the known images of a model: how many, and how large if it takes any size. Odd sizes leave blocks half empty."""

_proved: set[str] = set()
_begun: set[str] = set()
"""What is being proved: it is used while it is."""
_lock = threading.RLock()


def once(what: str, key: str, holds: Callable[[], bool]) -> None:
    """Look whether a known answer holds, if that was not done before with these kernels on this machine.

    Args:
        what: it is that is proved, for people.
        key: another one for everything that has another answer or is computed otherwise.
        holds: codes something and compares.

    Raises:
        InexactEngineError: it does not hold.
    """
    if key in _proved:
        return
    with _lock:
        if key in _begun or key in _proved:
            return
        _begun.add(key)
        try:
            _look(what, key, holds)
        finally:
            _begun.remove(key)
        _proved.add(key)


def _look(what: str, key: str, holds: Callable[[], bool]) -> None:
    folder = kernels.folder()
    mark = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.proved" if folder else None
    if mark and mark.exists():
        return
    try:
        held = holds()
    except (CodecError, EmptyStackError, FormatError):  # of what is known to be sound
        held = False
    if not held:
        raise InexactEngineError(
            f"{what} is not computed here as it is everywhere else, so nothing is coded with it: the compiled kernels "
            "are stale or broken, or this processor is not supported"
        )
    if mark:
        with suppress(OSError):  # then the next process proves it again
            mark.touch()


# Models ---------------------------------------------------------------------------------------------------------------


def known_shape(image: ImageSpec) -> Shape:
    """Of the known images of a model."""
    return image.height or HEIGHT, image.width or WIDTH, image.channels


def known_images(image: ImageSpec) -> Images:
    """Images for a model, uint8 (n, height, width, channels): smooth, noisy, of few colours, and flat."""
    n, y, x, c = np.indices((COUNT, *known_shape(image)))
    noise = np.frombuffer(_bytes(n.size), np.uint8).reshape(n.shape).astype(np.int64)
    smooth = 9 * y + 6 * x + 40 * c + noise // 16
    levels = np.choose(n % 4, [smooth, noise, np.where((x // 3 + y // 2 + c) % 2 == 0, 30, 200), 255])
    clipped = levels.clip(0, 255)
    found: Images = (clipped if image.levels == 256 else clipped // 128).astype(np.uint8)
    return found


def encoding(trained: Trained, image: ImageSpec) -> str:
    """SHA-256 in hex of the payload of the known images."""
    return hashlib.sha256(trained.encode(trained.known_images(image), 1)).hexdigest()


def decoding(trained: Trained, image: ImageSpec) -> str:
    """SHA-256 in hex of the images that known bits are decoded to, and of the stacks that are left."""
    from bitsback.ans import Stack

    lent: list[Stack] = []

    def known_bits(bits: int) -> Stack:
        stack = Stack.from_bytes((1 << 33).to_bytes(8, "little") + _bytes(4 * (bits // 32 + 1)))
        lent.append(stack)
        return stack

    images = trained.draw(COUNT, known_shape(image), known_bits)
    return hashlib.sha256(b"".join([images.tobytes(), *(stack.to_bytes() for stack in lent)])).hexdigest()


def answers(trained: Trained, image: ImageSpec) -> tuple[str, str]:
    """Both, for a model file."""
    return encoding(trained, image), decoding(trained, image)


def _bytes(count: int) -> bytes:
    """Noise that is the same everywhere and always."""
    return hashlib.shake_128(b"bitsback").digest(count)
