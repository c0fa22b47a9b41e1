"""Make the golden archives of the format: once, when it is fixed. Until then, anew whenever it changes.

    python tests/golden/make.py

Every later version must decode them to what ``manifest.json`` says, by the digests of their contents.
"""

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import bitsback
from bitsback.models import Model

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE.parents[1] / "examples")]


def drawn_digits(count: int = 200) -> np.ndarray:
    """Grey digits drawn as the sample images are, uint8 (count, 28, 28)."""
    from draw_digits import draw as draw_digit

    rng = np.random.default_rng(2026)
    return np.stack([draw_digit(i % 10, rng) for i in range(count)])


def sampled_digits(count: int = 40) -> np.ndarray:
    """Digits drawn from the model "digits": what it codes best, uint8 (count, 28, 28)."""
    return Model.load("digits").draw(count, (28, 28, 1), seed=7)[..., 0]


def write_inputs(folder: Path) -> None:
    """A few files of every kind that the format knows."""
    from strange import strange_png

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
    moved = [Image.fromarray(np.roll(photo, n, 1)) for n in (1, 2)]
    Image.fromarray(photo).save(folder / "moving.png", save_all=True, append_images=moved)
    (folder / "strange.png").write_bytes(strange_png(np.repeat(np.repeat(digits[0], 3, 0), 3, 1), 0.1))
    (folder / "digits.npy.gz").write_bytes(gzip.compress((folder / "one-digit.npy").read_bytes(), mtime=0))
    np.savez_compressed(folder / "packed.npz", images=digits[:5], labels=np.arange(5))
    (folder / "zero.bin").write_bytes(b"")
    (folder / "notes.txt").write_text("Keep me as I am.\n" * 20)
    for i in range(12):
        Image.fromarray(digits[i]).save(folder / f"digit-{i:02d}.png")
    scenes = np.stack([scene(rng, 60, 80) for _ in range(3)])
    np.save(folder / "scenes.npy", scenes)
    np.save(folder / "greys.npy", scenes[..., 1])
    Image.fromarray(scenes[0]).save(folder / "before.jpg", quality=85)
    Image.open(folder / "before.jpg").save(folder / "decoded.png")
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


def write_tree(folder: Path) -> None:
    """What else a folder holds: folders, links, names, times and modes."""
    (folder / "deep" / "empty").mkdir(parents=True)
    (folder / "deep" / "a:b?.txt").write_text("a name that not all systems have")
    (folder / "link").symlink_to("deep/nowhere")
    (folder / "again.npy").write_bytes((folder / "depth.npy").read_bytes())
    os.link(folder / "notes.txt", folder / "deep" / "hard.txt")
    (folder / "deep").chmod(0o750)
    for path in [*folder.rglob("*"), folder]:
        settle(path)
    os.utime(folder / "zero.bin", ns=(-(10**18) - 1,) * 2)


def settle(path: Path) -> None:
    """Give a path a time of its own, so that the same archives are made at any time."""
    os.utime(path, ns=(1_790_000_000 * 10**9,) * 2, follow_symlinks=False)


def manifest(path: Path) -> dict[str, str]:
    """Each member of an archive: the digest of its content, or what else it is."""
    with bitsback.open(path) as archive:
        digests = {member.name: digest.hex() for member, digest in archive.digests()}
        others = {member.name: f"{member.type.name.lower()} {member.target}".strip() for member in archive.members}
    return others | {name: f"{others[name]} {digest}" for name, digest in digests.items()}


def make() -> None:
    from helpers import drawn_images, tiny_model

    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        files = Path("in")
        files.mkdir()
        write_inputs(files)
        write_tree(files)
        bitsback.compress(files, HERE / "everything.bba", effort="max", store_sha256=True, force=True)
        for model in (
            "digits",
            "digits-binary",
            "photos",
            "photos-fast",
            "photos-grey",
            "thumbnails",
            "thumbnails-fast",
        ):
            like = {
                "digits": "sampled",
                "digits-binary": "binary",
                "photos-grey": "greys",
                "thumbnails": "thumbnails",
                "thumbnails-fast": "thumbnails",
            }
            bitsback.compress(
                files / f"{like.get(model, 'scenes')}.npy", HERE / f"model-{model}.bba", model=model, force=True
            )
        digits = np.load(files / "sampled.npy")[:24]
        np.save("sorted.npy", digits[np.argsort([digit.tobytes() for digit in digits])])
        settle(Path("sorted.npy"))
        bitsback.compress("sorted.npy", HERE / "sorted.bba", model="digits", force=True)
        same = [files / name for name in ("photo.png", "palette.png", "digits.npy.gz", "packed.npz", "notes.txt")]
        bitsback.compress(same, HERE / "pixels.bba", pixels=True, force=True)
        own = tiny_model(256)
        np.save("own.npy", drawn_images(own, 60))
        settle(Path("own.npy"))
        bitsback.compress("own.npy", HERE / "own.bba", model=own, block=1 << 14, force=True)
        bitsback.compress([files / "notes.txt", files / "scan.npy"], HERE / "grown.bba", parity=0.1, force=True)
        (files / "notes.txt").write_text("superseded")
        settle(files / "notes.txt")
        bitsback.add(HERE / "grown.bba", [files / "notes.txt", files / "photo.jpg"])
    found = {path.name: manifest(path) for path in sorted(HERE.glob("*.bba"))}
    (HERE / "manifest.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    make()
