"""Images that no model was made for: the deterministic route against PNG at its best, WebP and JPEG XL, kind by kind.

The set is drawn here, from seeds: icons, screenshots, plots, dithered and palette images, scans, depth maps, noise,
pictures with transparency; and photos of 8 and 16 bits made of those in ``photos/train.tar``. Every image becomes an
optimised PNG file (oxipng at level 6). bitsback makes one archive of all files of a kind, counted whole.

    pip install pyoxipng imagecodecs
    python benchmarks/graphics.py
"""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import measure
import peers

Array = NDArray[Any]
"""(H, W) or (H, W, C), uint8 or uint16; bool for one bit."""

TEXT = "the a of to model stack integer image size bits lossless archive open edit view window help file pixel"
WORDS = TEXT.split()


# The set --------------------------------------------------------------------------------------------------------------


def icons(seed: int) -> Array:
    """A coloured sign with soft edges on nothing."""
    rng = np.random.default_rng(seed)
    side = int(rng.choice([24, 32, 48, 64]))
    big = Image.new("RGBA", (4 * side, 4 * side))
    draw = ImageDraw.Draw(big)
    for _ in range(rng.integers(1, 5)):
        box = sorted(rng.integers(0, 4 * side, 2)), sorted(rng.integers(0, 4 * side, 2))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((box[0][0], box[1][0], box[0][1], box[1][1]), (*map(int, rng.integers(0, 256, 3)), 255))
    return np.asarray(big.resize((side, side), Image.Resampling.BOX))


def screenshot(seed: int, width: int = 1024, height: int = 640) -> Array:
    """A window with a menu, a list, text and buttons."""
    rng = np.random.default_rng(seed)
    back, ink = ((250, 250, 252), (20, 20, 24)) if seed % 2 else ((30, 32, 38), (214, 216, 222))
    image = Image.new("RGB", (width, height), back)
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(13), ImageFont.load_default(20)
    draw.rectangle((0, 0, width, 30), tuple(map(int, rng.integers(0, 128, 3))))
    draw.rectangle((0, 30, 180, height), tuple(int(0.9 * c) for c in back))
    for i in range(7):
        draw.text((10 + 70 * i, 7), str(rng.choice(WORDS)), (255, 255, 255), small)
    for i in range(height // 26 - 3):
        draw.text((14, 44 + 26 * i), " ".join(rng.choice(WORDS, 2)), ink, small)
    for i in range(height // 17 - 8):
        draw.text((200, 50 + 17 * i), " ".join(rng.choice(WORDS, (width - 220) // 46)), ink, small)
    for i in range(4):
        x, colour = 200 + 150 * i, tuple(map(int, rng.integers(60, 220, 3)))
        draw.rounded_rectangle((x, height - 60, x + 120, height - 22), 8, colour, ink)
        draw.text((x + 24, height - 54), str(rng.choice(WORDS)), (255, 255, 255), large)
    return np.asarray(image)


def plot(seed: int) -> Array:
    """Curves with smooth edges, a grid and labels."""
    rng = np.random.default_rng(seed)
    big = Image.new("RGB", (1600, 1000), (255, 255, 255))
    draw = ImageDraw.Draw(big)
    for i in range(9):
        draw.line((100, 60 + 100 * i, 1560, 60 + 100 * i), (220, 220, 220), 2)
        draw.text((30, 48 + 100 * i), f"{8 - i}.0", (40, 40, 40), ImageFont.load_default(24))
    x = np.linspace(100, 1560, 400)
    for colour in ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)):
        y = (
            500
            + 300 * np.sin(x / rng.uniform(60, 300) + rng.uniform(0, 6)) * rng.uniform(0.3, 1)
            + rng.normal(0, 5, 400)
        )
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), colour, 4)
    return np.asarray(big.resize((800, 500), Image.Resampling.LANCZOS))


def pixel_art(seed: int) -> Array:
    """A map of tiles of 16 x 16 in 16 colours."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (16, 3), np.uint8)
    tiles = [rng.choice(16, p=rng.dirichlet(np.full(16, 0.2)), size=(16, 16)) for _ in range(12)]
    level = rng.choice(12, p=rng.dirichlet(np.full(12, 0.4)), size=(16, 20))
    pixels: Array = colours[np.block([[tiles[t] for t in row] for row in level])]
    return pixels


def gradient(seed: int) -> Array:
    """A smooth blend of colours, as behind slides."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:400j, 0:1:600j]
    corners = rng.uniform(0, 255, (4, 3))
    weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=2)
    pixels: Array = np.round(weights @ corners).astype(np.uint8)
    return pixels


def noise(seed: int) -> Array:
    """Nothing to gain."""
    return np.random.default_rng(seed).integers(0, 256, (200, 300, 3), np.uint8)


def scan(seed: int) -> Array:
    """A page of text, slightly turned, in black and white."""
    rng = np.random.default_rng(seed)
    page = Image.new("L", (1240, 877), 255)
    draw = ImageDraw.Draw(page)
    for i in range(34):
        draw.text((90, 60 + 22 * i), " ".join(rng.choice(WORDS, 17)), 0, ImageFont.load_default(18))
    turned = np.asarray(page.rotate(rng.uniform(-1, 1), Image.Resampling.BICUBIC, fillcolor=255))
    page_bits: Array = turned + rng.normal(0, 25, turned.shape) > 128
    return page_bits


def deep_scan(seed: int) -> Array:
    """A measurement: smooth, 16 bits, and as noisy as counting is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:400, 0:500]
    light = sum(
        np.exp(-((x - rng.uniform(0, 500)) ** 2 + (y - rng.uniform(0, 400)) ** 2) / rng.uniform(500, 20000))
        for _ in range(25)
    )
    return np.clip(rng.poisson(200 + 4000 * light) * 8, 0, 65535).astype(np.uint16)


def depth(seed: int) -> Array:
    """Distances in 40 levels of 16 bits: flat faces with sharp edges."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:480, 0:640]
    far = 60 - y / 12
    for _ in range(8):
        top, left, tall, wide = rng.integers(0, (400, 560, 200, 200))
        inside = (y >= top) & (y < top + tall) & (x >= left) & (x < left + wide)
        far = np.where(inside, np.minimum(far, rng.uniform(5, 40) + rng.uniform(-0.05, 0.05) * x), far)
    pixels: Array = (np.clip(far // 1.5, 1, 40) * 1000).astype(np.uint16)
    return pixels


def tiny(seed: int) -> Array:
    """From 1 x 1 to 16 x 16, drawn or photographed."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 17, 2)
    channels = int(rng.choice([1, 3, 4]))
    levels = int(rng.choice([2, 4, 256]))
    values = rng.integers(0, levels, (height, width, channels)) * (255 // (levels - 1))
    return values.astype(np.uint8) if channels > 1 else values[..., 0].astype(np.uint8)


def photos(folder: Path, count: int) -> Iterator[Array]:
    """Photos, evenly spread over the archive."""
    with tarfile.open(folder / "photos" / "train.tar") as tar:
        members = tar.getmembers()
        for i in range(count):
            file = tar.extractfile(members[i * len(members) // count])
            with Image.open(io.BytesIO(file.read() if file else b"")) as image:
                yield np.asarray(image.convert("RGB"))


def grey(photo: Array) -> Array:
    """Its luma."""
    return np.asarray(Image.fromarray(photo).convert("L"))


def dithered(photo: Array) -> Array:
    """In black and white, by error diffusion."""
    return np.asarray(Image.fromarray(photo).convert("1"))


def few_colours(photo: Array) -> Array:
    """In 32 colours, dithered."""
    return np.asarray(Image.fromarray(photo).quantize(32, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


def deep_photo(photo: Array) -> Array:
    """16 bits: averaged to a third of its size, linear in light, with a sensor's noise."""
    rng = np.random.default_rng(int(photo[0, 0, 0]))
    height, width = photo.shape[0] // 2, photo.shape[1] // 2
    linear = (photo[: 2 * height, : 2 * width] / 255) ** 2.2
    small = linear.reshape(height, 2, width, 2, 3).mean((1, 3))
    return np.clip(small * 60000 + rng.normal(0, 1, small.shape) * np.sqrt(small * 20000 + 100), 0, 65535).astype(
        np.uint16
    )


def mask(photo: Array) -> Array:
    """A soft ellipse, (H, W)."""
    image = Image.new("L", photo.shape[1::-1])
    inner = (photo.shape[1] // 8, photo.shape[0] // 8, 7 * photo.shape[1] // 8, 7 * photo.shape[0] // 8)
    ImageDraw.Draw(image).ellipse(inner, 255)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(3)))


def cut_out(photo: Array) -> Array:
    """With an alpha channel, and black where nothing shows."""
    alpha = mask(photo)
    return np.dstack([photo * (alpha > 0)[..., None], alpha])


def grey_cut_out(photo: Array) -> Array:
    """The same in grey, with what is behind kept."""
    return np.dstack([grey(photo), mask(photo)])


def drawn(folder: Path) -> Iterator[tuple[str, list[Array]]]:
    """(kind, images)."""
    for kind, draw, count in (
        ("icons, RGBA", icons, 40),
        ("screenshots", screenshot, 3),
        ("plots", plot, 3),
        ("pixel art", pixel_art, 4),
        ("gradients", gradient, 3),
        ("noise", noise, 2),
        ("scans, 1 bit", scan, 2),
        ("measurements, 16-bit grey", deep_scan, 3),
        ("depth maps, 16 bit, 40 levels", depth, 3),
        ("tiny, 1x1 to 16x16", tiny, 60),
    ):
        yield kind, [draw(seed) for seed in range(count)]
    if not (folder / "photos" / "train.tar").is_file():
        print(f"{folder / 'photos'}: not there, so no photos", file=sys.stderr)
        return
    pictures = list(photos(folder, 12))
    for kind, turn in (
        ("photos, RGB", np.asarray),
        ("photos, grey", grey),
        ("photos, 16-bit RGB", deep_photo),
        ("photos, 16-bit grey", lambda photo: deep_photo(photo)[..., 1]),
        ("photos, RGBA, black where transparent", cut_out),
        ("photos, grey and alpha", grey_cut_out),
        ("dithered, 1 bit", dithered),
        ("32 colours, dithered", few_colours),
    ):
        yield kind, [np.ascontiguousarray(turn(photo)) for photo in pictures]


# The codecs -----------------------------------------------------------------------------------------------------------


def png(image: Array) -> bytes:
    """The smallest PNG that oxipng finds."""
    import imagecodecs
    import oxipng

    if image.dtype == bool:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "png")
        return bytes(oxipng.optimize_from_memory(stream.getvalue(), level=6))
    return bytes(oxipng.optimize_from_memory(bytes(imagecodecs.png_encode(image)), level=6))


def webp(image: Array) -> int | None:
    """Bytes of a lossless WebP, transparent colours kept; it has 8 bits only."""
    if image.dtype == np.uint16:
        return None
    stream = io.BytesIO()
    picture = Image.fromarray(image)
    picture = picture.convert("RGBA" if image.ndim == 3 and image.shape[2] in (2, 4) else "RGB")
    picture.save(stream, "webp", lossless=True, exact=True, quality=100, method=6)
    return len(stream.getvalue())


def jpeg_xl(image: Array) -> int:
    """Bytes of a lossless JPEG XL at effort 7."""
    return len(peers.jpegxl(7).encode(image.astype(np.uint8) * 255 if image.dtype == bool else image))


def jpeg_ls(image: Array) -> int | None:
    """Bytes of JPEG-LS, a file for each channel; None for what this encoder refuses (small flat images)."""
    import imagecodecs

    bytes_ = image.astype(np.uint8) * 255 if image.dtype == bool else image
    planes = np.moveaxis(bytes_.reshape(*image.shape[:2], -1), 2, 0)
    try:
        return sum(len(imagecodecs.jpegls_encode(np.ascontiguousarray(plane))) for plane in planes)
    except imagecodecs.JpeglsError:
        return None


def total(sizes: list[int | None]) -> int | None:
    """Their sum, if all are known."""
    return None if None in sizes else sum(size for size in sizes if size)


def bitsback_sizes(images: list[Array], files: list[bytes]) -> dict[str, Any]:
    """An archive of the PNG files; and the payloads alone, image by image, with speeds in MB of samples."""
    import bitsback
    from bitsback.kinds.adaptive import CODER

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(files):
            (Path(folder) / f"{number:03}.png").write_bytes(data)
        archive = Path(folder) / "all.bba"
        bitsback.compress(sorted(Path(folder).glob("*.png")), archive, threads=1)
        size = archive.stat().st_size
    arrays = [image.astype(image.dtype if image.dtype == np.uint16 else np.uint8)[None] for image in images]
    arrays = [array.reshape(*array.shape[:3], -1) for array in arrays]
    payloads, encoding = measure.cpu(lambda: [CODER.encode(array) for array in arrays], 1)

    def decode() -> list[Array]:
        pairs = zip(payloads, arrays, strict=True)
        return [CODER.decode(payload, 1, array.shape[1:], array.dtype) for payload, array in pairs]

    decoded, decoding = measure.cpu(decode, 1)
    if not all(map(np.array_equal, decoded, arrays)):
        raise SystemExit("bitsback did not give the same images")
    megabytes = sum(array.nbytes for array in arrays) / 1e6
    speeds = {"encode": megabytes / encoding, "decode": megabytes / decoding}
    return {"archive": size, "payloads": sum(map(len, payloads)), **speeds}


def main() -> None:
    """Measure, print, write."""
    parser = ArgumentParser(description="The deterministic route on images of many kinds")
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder that holds photos/ (or $BITSBACK_DATA)")
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "graphics.json", help="JSON file to write")
    options = parser.parse_args()
    about = measure.machine()
    print(f"{measure.line(about)}\n", flush=True)
    bitsback_sizes([screenshot(0, 300, 200), gradient(0)], [png(noise(0))])  # compile
    rows: list[dict[str, Any]] = []
    for kind, images in drawn(options.data):
        files = [png(image) for image in images]
        row = {"kind": kind, "images": len(images), "samples": sum(image.size for image in images)}
        row |= {"png": sum(map(len, files)), "webp": total([webp(image) for image in images])}
        row |= {"jpeg_xl": total([jpeg_xl(image) for image in images])}
        row |= {"jpeg_ls": total([jpeg_ls(image) for image in images])}
        rows.append(row | {"bitsback": bitsback_sizes(images, files)})
        print(kind, rows[-1], file=sys.stderr, flush=True)
    print(
        measure.table(
            [
                "kind",
                "images",
                "PNG, optimised",
                "WebP",
                "JPEG XL e7",
                "JPEG-LS",
                "bitsback",
                "payloads",
                "MB/s, encode",
                "decode",
            ],
            (
                [
                    row["kind"],
                    str(row["images"]),
                    *(f"{row[k]:,}" if row[k] else "-" for k in ("png", "webp", "jpeg_xl", "jpeg_ls")),
                ]
                + [f"{row['bitsback'][k]:,}" for k in ("archive", "payloads")]
                + [f"{row['bitsback'][k]:.1f}" for k in ("encode", "decode")]
                for row in rows
            ),
        )
    )
    measure.write(options.out, {"machine": about, "rows": rows})


if __name__ == "__main__":
    main()
