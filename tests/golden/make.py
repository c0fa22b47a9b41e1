"""Make the golden archives of a version: once, when its format is fixed. They are never rewritten.

    python tests/golden/make.py tests/golden/v0.3
    python tests/golden/make.py tests/golden/v0.4 plots.bbm    (only an archive that embeds this model, of drawn plots)

Every later version must decode them to the very same bytes, which ``manifest.json`` names by SHA-256.
"""

import hashlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import bitsback
from bitsback.models import Model
from bitsback.models.inspect import draw

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))


def drawn_digits(count: int = 200) -> np.ndarray:
    """Grey digits drawn as the sample images are, uint8 (count, 28, 28)."""
    from draw_digits import draw as draw_digit

    rng = np.random.default_rng(2026)
    return np.stack([draw_digit(i % 10, rng) for i in range(count)])


def sampled_digits(count: int = 40) -> np.ndarray:
    """Digits drawn from the model "digits": what it codes best, uint8 (count, 28, 28)."""
    return draw(Model.load("digits"), count, (28, 28, 1), seed=7)[..., 0]


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
    scenes = np.stack([scene(rng, 60, 80) for _ in range(3)])
    np.save(folder / "scenes.npy", scenes)
    np.save(folder / "greys.npy", scenes[..., 1])
    np.save(folder / "thumbnails.npy", np.stack([scene(rng, 32, 32) for _ in range(20)]))
    np.save(
        folder / "scan.npy", (scene(rng, 60, 80)[..., 0] * 250.0 + rng.integers(0, 200, (60, 80))).astype(np.uint16)
    )
    np.save(folder / "field.npy", np.cumsum(rng.normal(size=(50, 70)), 1).astype(np.float32))


def scene(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Something like a photo: smooth shapes with edges, shading and noise, uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    image = np.full((height, width, 3), rng.uniform(60, 200, 3))
    for _ in range(6):
        inside = (y - rng.uniform(0, height)) ** 2 + (x - rng.uniform(0, width)) ** 2 < rng.uniform(4, width / 2) ** 2
        image[inside] = rng.uniform(20, 235, 3)
    image += (20 * np.sin(x / rng.uniform(5, 15) + y / rng.uniform(5, 15)))[..., None] + rng.normal(0, 3, image.shape)
    return image.clip(0, 255).astype(np.uint8)


MODELS = {
    "photos": "scenes",
    "photos-fast": "scenes",
    "photos-grey": "greys",
    "thumbnails": "thumbnails",
    "digits": "sampled",
    "digits-binary": "binary",
}
"""Which input each shipped model is tried on."""


def main(out: Path) -> None:
    """Everything that the format knows, with all shipped models."""
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name)
        write_inputs(inputs)
        archives = {"mixed": [inputs]}
        archives |= {path.stem: [path] for path in inputs.glob("*.npy")}
        archives |= {f"model-{model}": [inputs / f"{stem}.npy"] for model, stem in MODELS.items()}
        write_archives(out, archives)


def embedded(out: Path, model: Path) -> None:
    """Plots, in an archive that embeds the model that coded them."""
    from draw_plots import plot

    with tempfile.TemporaryDirectory() as name:
        plots = Path(name) / "plots"
        plots.mkdir()
        rng = np.random.default_rng(4)
        for i in range(30):
            plot(rng).save(plots / f"{i:02d}.png")
        write_archives(out, {"plots": [plots]}, model=str(model), embed_model=True)


def write_archives(out: Path, archives: dict[str, list[Path]], **options: Any) -> None:
    """The archives, by name, and the manifest of what is in them."""
    if out.exists():
        raise SystemExit(f"{out} is there already, and golden files are never rewritten")
    out.mkdir(parents=True)
    manifest: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as name:
        for archive, paths in archives.items():
            data = io.BytesIO()
            model = archive.removeprefix("model-") if "model-" in archive else "auto"
            bitsback.compress(paths, data, **{"model": model, **options})
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
    if len(sys.argv) > 2:
        embedded(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
