"""What is compiled for kinds of models without weights, for models in phases, and for files, on any processor.

    CASE=kinds.py tests/portability/emulate [haswell] [nehalem] [arm64]

Every variant that has a known answer gives it, and so do the others' small cases; a line of JSON for each says by a
SHA-256 what it was. It takes long where compiling is emulated, so it is no part of the continuous check: to be run
when kernels, or their compiler, were changed.
"""

import hashlib
import io
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bitsback.files import lzw, parse, write
from bitsback.files.deflate import put_together, take_apart
from bitsback.kinds import WITHOUT_WEIGHTS
from bitsback.kinds.adaptive import payload as adaptive
from bitsback.kinds.adaptive.known import KNOWN
from bitsback.models import Model

sys.path.append(str(Path(__file__).parents[1]))
from contexts import picture
from phases import phases_file


def tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def digest(*data: bytes) -> str:
    return hashlib.sha256(b"".join(data)).hexdigest()


def variants() -> None:
    """Of the adaptive kind. What xz makes is its own matter: below 0x40 only decoding counts."""
    for group, cases in KNOWN.items():
        for one in cases:
            images = adaptive.decode(one.payload, one.whole[0], one.whole[1:], np.dtype(one.dtype))
            if not np.array_equal(images, one.images):
                raise SystemExit(f"{group}, {one.tag:#x}: decodes to other images")
            again = adaptive.encode_as(one.images, one.tag) if 0x40 <= one.tag < 0xC0 else one.payload
            tell(adaptive=group, tag=hex(one.tag), right=again == one.payload, payload=digest(again))


def others() -> None:
    """Kinds without weights, by proof; and models in phases."""
    for coder in WITHOUT_WEIGHTS.values():
        coder.prove()
        tell(kind=coder.name, proved=True)
    for channels, levels in ((1, 256), (3, 256), (1, 2)):
        model = Model.from_bytes(phases_file(channels, levels))
        images = picture("smooth", (2, 19, 22, channels), levels)
        coded = model.encode(images)
        if not np.array_equal(model.decode(coded, len(images), images.shape[1:]), images):
            raise SystemExit("a model in phases does not decode what it coded")
        tell(phases=[channels, levels], payload=digest(coded))


def streams() -> None:
    """Deflate and LZW, to their parts and back."""
    noise = np.random.Generator(np.random.PCG64(5)).integers(0, 9, 20_000).astype(np.uint8)
    data = noise.tobytes() + b"some text, again some text, " * 300
    for level, strategy in ((1, 0), (6, 0), (9, 0), (9, 1), (6, 2), (6, 3)):
        deflate = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
        stream = deflate.compress(data) + deflate.flush()
        plain, rules, corrections, size = take_apart(stream, len(data))
        if put_together(plain, rules, corrections) != stream[:size]:
            raise SystemExit("a deflate stream does not come back")
        tell(deflate=[level, strategy], same=put_together(data, [level, 8, strategy, 15, 0], b"").hex()[:64])
    codes = 200
    coded = lzw.put_together(bytes(range(codes)), lzw.Choices([codes]), -(-(codes + 1) * 9 // 8))
    tell(lzw=digest(coded), plain=digest(lzw.take_apart(coded, codes)[0]))


def jpeg_files() -> None:
    """JPEG files: their coefficients, the block that these make, and the files again."""
    for mode, options in (("RGB", {}), ("RGB", {"progressive": True}), ("L", {"restart_marker_blocks": 3})):
        file = io.BytesIO()
        scene = picture("smooth", (1, 37, 50, len(mode)), 256)[0].astype(np.uint8)
        Image.fromarray(scene.squeeze()).save(file, "jpeg", quality=85, **options)
        taken = parse(file.getvalue(), "a.jpg")
        if not taken.coefficients:
            raise SystemExit(f"a JPEG file is not taken apart: {taken.note}")
        coder, (blocks,) = WITHOUT_WEIGHTS[5], taken.parts
        payload = coder.encode(blocks)
        again = coder.decode(payload, len(blocks), blocks.shape[1:], blocks.dtype)
        if write(taken.recipe, taken.blob, [again]) != file.getvalue():
            raise SystemExit("a JPEG file does not come back")
        tell(jpeg=[mode, options], file=digest(file.getvalue()), payload=digest(payload))


def main() -> None:
    parts: list[Callable[[], None]] = [others, variants, streams, jpeg_files]
    for part in parts:
        part()
        sys.stderr.write(f"{part.__name__}: done\n")


if __name__ == "__main__":
    main()
