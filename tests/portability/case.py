"""One small case of exactness, to be run on any processor: real or emulated.

    python case.py [MODEL.bbm ...]

Tiny context networks code pictures of every kind, and decode them; so does the jpeg kind with coefficients. Then, for
each model, images are drawn from it by popping fixed bits (or made by a formula, if it has no latents), coded, and
decoded, with each engine on its own. The output is a line of JSON for each with SHA-256s of what was coded and of the
bytes; two machines agree when the lines do. Engines that the self-test refuses on this machine are listed on stderr:
refusing is the right thing to do there.
"""

import hashlib
import json
import platform
import sys
from pathlib import Path

import numpy as np

from bitsback.ans import Stack
from bitsback.errors import InexactEngineError
from bitsback.kinds.jpeg import Component, Layout, known
from bitsback.kinds.jpeg import payload as jpeg
from bitsback.models import Model
from bitsback.nets.engine import ENGINES

sys.path.append(str(Path(__file__).parents[1]))
from contexts import KINDS, picture, stack_of_pictures

IMAGES = 12


def draw(model: Model) -> np.ndarray:
    """Images drawn from the model: x popped from fixed bits under p(x | z), z under p(z); or, without z, a picture."""
    height, width, channels = model.shape
    if not model.has_latents:
        return picture("smooth", (IMAGES // 4, height or 21, width or 27, channels), model.levels)
    state, words = 1, []
    for _ in range(4000):
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        words.append(state >> 32)
    stack = Stack.from_bytes(np.array([1 << 33], "<u8").tobytes() + np.array(words, "<u4").tobytes())
    z = model.trained.prior(IMAGES).pop(stack)
    return model.trained.likelihood(z).pop(stack)


def layouts() -> dict[str, Layout]:
    """Of pictures in colour, sampled in all ways that are looked at differently, and in grey."""
    tables = [tuple(1 + (2 + slope) * (k // 8 + k % 8) for k in range(64)) for slope in range(2)]
    chroma = Component(7, 6, 1, 1, tables[1])
    found = {
        f"{across} x {down}": Layout((Component(7 * across, 6 * down, across, down, tables[0]), chroma, chroma))
        for across in (1, 2) for down in (1, 2)
    }  # fmt: skip
    return found | {"grey": Layout((Component(20, 10, 1, 1, tables[0]),))}


def main(paths: list[str]) -> None:
    sys.stderr.write(f"{platform.machine()} Python {platform.python_version()} NumPy {np.__version__}\n")
    for kind in KINDS:
        digest = hashlib.sha256(stack_of_pictures(kind).pack()).hexdigest()
        sys.stdout.write(json.dumps({"context": kind, "stack": digest}) + "\n")
    sys.stderr.write("context networks: done\n")
    for sort, layout in layouts().items():
        blocks = known.filled([layout])
        payload = jpeg.encode(blocks)
        if not np.array_equal(jpeg.decode(payload, len(blocks)), blocks):
            raise SystemExit(f"coefficients, {sort}: they do not come back")
        sys.stdout.write(json.dumps({"jpeg": sort, "payload": hashlib.sha256(payload).hexdigest()}) + "\n")
    sys.stderr.write("coefficients: done\n")
    for path in paths:
        data = Path(path).read_bytes()
        lines = set()
        needed = ENGINES if Model.from_bytes(data).has_latents else ENGINES[:1]  # others have no use for any
        for engine in needed:
            model = Model.from_bytes(data, engines=[engine])
            try:
                images = draw(model)
            except InexactEngineError as error:
                sys.stderr.write(f"{model.name}: {error}\n")
                continue
            payload = model.encode(images)
            if not np.array_equal(model.decode(payload, len(images), images.shape[1:]), images):
                raise SystemExit(f"{model.name}: the {engine} engine does not decode what it coded")
            digests = {
                k: hashlib.sha256(v).hexdigest() for k, v in (("images", images.tobytes()), ("payload", payload))
            }
            lines.add(json.dumps({"model": model.name, "sha256": model.id, **digests}))
            sys.stderr.write(f"{model.name}: {engine} done\n")
        if len(lines) != 1:
            raise SystemExit(f"{path}: the engines disagree, or none is exact")
        sys.stdout.write(lines.pop() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
