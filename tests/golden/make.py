"""Make the golden archives of a version: once, when its format is fixed. They are never rewritten.

    python tests/golden/make.py tests/golden/v0.1

Every later version must decode them to the very same bytes, which ``manifest.json`` names by SHA-256.
"""

import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import bitsback
from bitsback.ans import Stack
from bitsback.models import Model


def drawn_digits(count: int = 200) -> np.ndarray:
    """Grey digits drawn as the sample images are, uint8 (count, 28, 28)."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    from draw_digits import draw

    rng = np.random.default_rng(2026)
    return np.stack([draw(i % 10, rng) for i in range(count)])


def sampled_digits(count: int = 40) -> np.ndarray:
    """Digits drawn by the model "digits", by popping random bits: what it codes best, uint8 (count, 28, 28)."""
    vae = Model.load("digits").vae
    words = np.random.default_rng(7).integers(0, 1 << 32, 1000 * count, np.uint32)
    stack = Stack.from_bytes(np.array([1 << 33], "<u8").tobytes() + words.astype("<u4").tobytes())
    return vae.likelihood(vae.prior(count).pop(stack)).pop(stack)[..., 0]


def write_inputs(folder: Path) -> None:
    """A few files of every kind that the format knows."""
    rng = np.random.default_rng(1)
    digits = drawn_digits()
    np.save(folder / "digits.npy", digits)
    np.save(folder / "binary.npy", (digits > 127).astype(np.uint8) * 255)
    np.save(folder / "sampled.npy", sampled_digits())
    np.save(folder / "one-digit.npy", digits[0])
    np.save(folder / "depth.npy", (np.add.outer(np.arange(40), np.arange(30)) * 700).astype(np.uint16))
    np.savez(folder / "both.npz", images=digits[:5], labels=np.arange(5))
    photo = np.stack([np.add.outer(np.arange(48), np.arange(64)) + 20 * c for c in range(3)], 2)
    photo = (photo + rng.integers(0, 9, photo.shape)).astype(np.uint8)
    Image.fromarray(photo).save(folder / "photo.png", dpi=(300, 300))
    Image.fromarray(photo[:16, :16]).convert("RGBA").save(folder / "icon.png")
    Image.fromarray(photo[:16, :16]).quantize(7).save(folder / "palette.png", transparency=3)
    Image.fromarray(photo).save(folder / "photo.jpg", quality=60)
    (folder / "zero.bin").write_bytes(b"")
    (folder / "notes.txt").write_text("Keep me as I am.\n" * 20)
    for i in range(12):
        Image.fromarray(digits[i]).save(folder / f"digit-{i:02d}.png")


def main(out: Path) -> None:
    import tempfile

    if out.exists():
        raise SystemExit(f"{out} is there already, and golden files are never rewritten")
    out.mkdir(parents=True)
    manifest: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name) / "inputs"
        inputs.mkdir()
        write_inputs(inputs)
        archives = {"mixed": [inputs]}
        archives |= {path.stem: [path] for path in inputs.glob("*.npy")}
        for archive, paths in archives.items():
            data = io.BytesIO()
            bitsback.compress(paths, data)
            (out / f"{archive}.bba").write_bytes(data.getvalue())
            target = Path(name) / archive
            bitsback.decompress(out / f"{archive}.bba", target)
            manifest[f"{archive}.bba"] = {
                str(path.relative_to(target)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(target.rglob("*"))
                if path.is_file()
            }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
