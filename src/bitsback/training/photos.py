"""Train the models that see images locally: ``photos``, ``photos-fast``, ``photos-grey`` and ``thumbnails``.

    python -m bitsback.training.photos photos --data train.tar --out runs/photos

The data is a tar file or a folder of images, or an ``.npz`` or ``.npy`` array of them. All neighbours of a sample are
known in training, so samples are drawn at random from all images, and what the adaptive predictor says about each is
computed once, beforehand. A run that was stopped goes on from its last checkpoint when started again.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import platform
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bitsback import __version__
from bitsback.ans import kernel
from bitsback.archive import atomic
from bitsback.models import Model
from bitsback.models.context import ContextCodec, plane
from bitsback.models.file import Config, ImageSpec, MixtureSpec, dump
from bitsback.nets.context import (
    MARGIN,
    AdaptiveSpec,
    ContextNetwork,
    ContextSpec,
    Feature,
    Tap,
    companding,
)
from bitsback.training.context import TrainableContext
from bitsback.training.layers import UNIT

NEAR = [
    *((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-1, -2), (-2, 1), (-2, -1)),
    *((-2, 2), (-2, -2), (0, -3), (-3, 0), (-1, 3), (-1, -3), (-3, -1), (-3, 1)),
]
"""Offsets (dy, dx) of neighbours, the most telling first."""


def context_spec(
    channels: int,
    own: int,
    errors: int,
    hidden: tuple[int, ...],
    taps: tuple[int, int] | None,
    other: int = 2,
    place: bool = False,
) -> ContextSpec:
    """The features that all models here share, more or fewer of them.

    Args:
        own: neighbours of the same channel, each less the reference. errors: and their prediction errors.
        taps: regressors of the adaptive predictor from the first and from each other channel; None: the median one.
        other: neighbours in each other channel. place: whether the row and the column are features.
    """
    features = []
    for c in range(channels):
        reference = Tap("reference", c)
        found = [Feature(Tap("value", c, *o), reference) for o in NEAR[:own]]
        found += [Feature(Tap("error", c, *o)) for o in NEAR[:errors]]
        for j in range(channels):
            if j == c:
                continue
            found += [Feature(Tap("error", j, *o)) for o in NEAR[:other]]
            if j < c:
                found += [Feature(Tap("error", j))]
                found += [Feature(Tap("value", j), Tap("value", j, *o)) for o in NEAR[:other]]
            else:
                found += [Feature(Tap("value", j, 0, -1), Tap("value", j, -1, 0))]
                found += [Feature(Tap("value", j, *o), Tap("value", j, -1, 0)) for o in NEAR[3 : other + 2]]
        found += [Feature(reference)]
        if taps is not None:
            found += [Feature(Tap("spread", c))]
        if place:
            found += [Feature(Tap("row")), Feature(Tap("column"))]
        features.append(tuple(found))
    adaptive = None
    if taps is not None:
        adaptive = AdaptiveSpec(
            tuple(Tap("value", c, *o) for c in range(channels) for o in NEAR[: taps[0 if c == 0 else 1]])
        )
    return ContextSpec(tuple(features), (hidden,) * channels, 128, 0, adaptive, taps is None)


@dataclass(frozen=True)
class Kind:
    """What a model is: its network, the components of its mixtures, and what it is for."""

    spec: ContextSpec
    components: int
    variants: bool = True
    """Whether the training images are joined by resized, sharpened and colour-subsampled versions of themselves."""
    images: str = "8-bit RGB of any size"


KINDS = {
    "photos": Kind(context_spec(3, 14, 10, (64, 48), (6, 4), 4), 3),
    "photos-fast": Kind(context_spec(3, 6, 4, (32,), None), 2),
    "photos-grey": Kind(context_spec(1, 10, 6, (48, 32), (10, 0)), 3, images="8-bit grey of any size"),
    "thumbnails": Kind(
        context_spec(3, 18, 10, (96, 64), (6, 4), 5, True),
        4,
        False,
        "8-bit RGB of any size, made for 32 to 96 pixels",
    ),
}
DATA = {
    "train.tar": "852 photos, one of each of 852 ImageNet classes, halved or more with Lanczos",
    "train.npz": "Tiny ImageNet, 64x64 box-filtered to 32x32, 20,000 images",
}
"""What the files are that the shipped models were trained on."""

COLOUR = (1, 0, 2)
"""Green first: it is the most like the others."""


# Data -----------------------------------------------------------------------------------------------------------------


def read_images(path: Path) -> list[NDArray[np.uint8]]:
    """RGB images, uint8 (height, width, 3)."""
    if path.suffix in (".npz", ".npy"):
        loaded = np.load(path)
        array = loaded[loaded.files[0]] if path.suffix == ".npz" else loaded
        return list(array)
    if path.is_dir():
        files = [(p.name, p.read_bytes()) for p in sorted(path.iterdir()) if p.is_file()]
    else:
        with tarfile.open(path) as tar:
            members = sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)
            files = [(m.name, tar.extractfile(m).read()) for m in members]  # type: ignore[union-attr]
    return [np.array(Image.open(io.BytesIO(data)).convert("RGB")) for _, data in files]


def variant(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The image as another camera, or another program, might have left it: enlarged a little, sharpened or softened,
    or with its colours at half the resolution."""
    picture = Image.fromarray(image)
    match rng.integers(4):
        case 0:
            factor = rng.uniform(1.1, 1.8)
            size = (int(picture.width * factor), int(picture.height * factor))
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        case 1:
            factor = rng.uniform(0.6, 0.9)
            size = (max(int(picture.width * factor), 8), max(int(picture.height * factor), 8))
            picture = picture.resize(size, Image.Resampling(int(rng.choice([1, 3, 4]))))
        case 2:
            picture = picture.filter(ImageFilter.UnsharpMask(1, int(rng.integers(40, 120)), 0))
        case _:
            y, *chroma = picture.convert("YCbCr").split()
            half = (max(picture.width // 2, 1), max(picture.height // 2, 1))
            soft = [c.resize(half, Image.Resampling.BOX).resize(y.size, Image.Resampling.BILINEAR) for c in chroma]
            picture = Image.merge("YCbCr", (y, *soft)).convert("RGB")
    return np.array(picture)


@dataclass
class Samples:
    """All pixels of many images, with the planes that features are read from, flat one after the other.

    ``planes``: int16 (planes, total). ``start``, ``stride``: where each image begins, and its rows' stride.
    ``size``: (height, width) of each image; ``weight``: cumulative number of pixels.
    """

    planes: NDArray[np.int16]
    start: NDArray[np.int64]
    stride: NDArray[np.int64]
    size: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, images: list[NDArray[np.uint8]], network: ContextNetwork) -> Samples:
        """Survey images, (height, width, channels) in coding order."""
        sizes = np.array([image.shape[:2] for image in images], np.int64)
        areas = (sizes[:, 0] + MARGIN) * (sizes[:, 1] + 2 * MARGIN)
        start = np.concatenate([[0], np.cumsum(areas)])
        planes: NDArray[np.int16] | None = None
        for k, image in enumerate(images):
            found = ContextCodec(network, (1, *image.shape)).survey(image[None])  # type: ignore[arg-type]
            if planes is None:
                planes = np.empty((len(found), start[-1]), np.int16)
            planes[:, start[k] : start[k + 1]] = found.reshape(len(found), -1)
        assert planes is not None
        return cls(planes, start[:-1], sizes[:, 1] + 2 * MARGIN, sizes, np.cumsum(sizes.prod(1)))

    def __len__(self) -> int:
        return int(self.ends[-1])


@kernel
def _gather(planes, start, stride, size, ends, taps, table, value0, channels, reference0, picks, out, x, reference):  # type: ignore[no-untyped-def]
    for n in range(picks.size):
        k = np.searchsorted(ends, picks[n], side="right")
        inside = picks[n] - (ends[k - 1] if k > 0 else 0)
        row, column = inside // size[k, 1], inside % size[k, 1]
        p = start[k] + (row + MARGIN) * stride[k] + column + MARGIN
        for j in range(taps.shape[0]):
            a = planes[taps[j, 0], p + taps[j, 1] * stride[k] + taps[j, 2]]
            b = planes[taps[j, 3], p + taps[j, 4] * stride[k] + taps[j, 5]]
            difference = np.int32(a) - np.int32(b)
            out[n, j] = table[min(max(difference, np.int32(-4096)), np.int32(4095)) + np.int32(4096)]
        for c in range(channels):
            x[n, c] = planes[value0 + c, p] >> 4
            reference[n, c] = planes[reference0 + c, p]


class Gatherer:
    """Draws features, samples and references from :class:`Samples`."""

    def __init__(self, samples: Samples, spec: ContextSpec) -> None:
        self.samples, self.channels = samples, len(spec.features)
        self.counts = [len(f) for f in spec.features]
        taps = [(f.a, f.b) for features in spec.features for f in features]
        self.taps = np.array(
            [[v for t in pair for v in (plane(t, self.channels), t.dy, t.dx)] for pair in taps], np.int64
        )
        self.table = companding()

    def __call__(self, picks: NDArray[np.int64]) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]:
        """Pixels by number: the features of each channel (n, F), samples (n, C), references (n, C)."""
        s, n = self.samples, len(picks)
        out = np.empty((n, len(self.taps)), np.uint8)
        x, reference = np.empty((n, self.channels), np.float32), np.empty((n, self.channels), np.float32)
        _gather(
            s.planes, s.start, s.stride, s.size, s.ends, self.taps, self.table, 3, self.channels,
            3 + self.channels, picks, out, x, reference,
        )  # fmt: skip
        features = torch.from_numpy(out).float().div_(UNIT)
        return features.split(self.counts, 1), torch.from_numpy(x), torch.from_numpy(reference)


RUN = 8
"""Pixels of a row that are drawn together: their features come from the same memory."""


# Training -------------------------------------------------------------------------------------------------------------


def rate(module: TrainableContext, batch: tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Bits a sample, of each channel: (channels,)."""
    features, x, reference = batch
    bits = [
        module.nats(module(c, f), x[:, c].contiguous(), reference[:, c].contiguous()).mean()
        for c, f in enumerate(features)
    ]
    return torch.stack(bits) / math.log(2)


@torch.no_grad()
def grow(module: TrainableContext, small: dict[str, torch.Tensor], spec: ContextSpec) -> None:
    """Start from the weights of a smaller model of specification ``spec``, so that ``module`` computes what it did.

    New features get no weight, and new hidden units, which keep their random inputs, have no effect yet (the idea of
    Chen, Goodfellow & Shlens, "Net2Net", arXiv 1511.05641).
    """
    for c, layers in enumerate(module.layers()):
        kept = torch.tensor([module.spec.features[c].index(feature) for feature in spec.features[c]])
        for i, layer in enumerate(layers):
            prefix = next(key for key in small if key.startswith(f"networks.{c}.{i}."))[: -len("weight")]
            weight, bias = small[prefix + "weight"], small[prefix + "bias"]
            rows = len(weight)
            layer.weight[:rows] = 0
            layer.weight[:rows, kept] = weight
            layer.bias[:rows] = bias
            kept = torch.arange(rows)


@torch.no_grad()
def held_out_rate(module: TrainableContext, average: dict[str, torch.Tensor], gather: Gatherer) -> list[float]:
    """With the averaged weights, quantised; over a fixed choice of pixels."""
    kept = {name: p.detach().clone() for name, p in module.named_parameters()}
    flag = any(layer.quantise for network in module.layers() for layer in network)
    module.load_state_dict(average, strict=False)
    module.quantise(True)
    rng = np.random.default_rng(1)
    picks = rng.integers(0, len(gather.samples), 200_000)
    total = torch.stack([rate(module, gather(part)) for part in np.split(picks, 10)]).mean(0)
    module.load_state_dict(kept, strict=False)
    module.quantise(flag)
    return [round(float(v), 5) for v in total]


@click.command()
@click.argument("name", type=click.Choice(sorted(KINDS)))
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--steps", default=40_000, show_default=True)
@click.option("--batch", default=4096, show_default=True, help="Pixels.")
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--anneal", default=0.35, show_default=True, help="Share of the steps over which the rate falls to 0.")
@click.option("--quantise-from", default=0.75, show_default=True, help="Share of the steps without quantisation.")
@click.option("--held-out", default=40, show_default=True, help="Images.")
@click.option("--init", type=click.Path(exists=True, path_type=Path), help="Checkpoint to grow.")
@click.option("--limit", default=0, help="Use only so many images.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    name: str,
    data: Path,
    out: Path,
    steps: int,
    batch: int,
    learning_rate: float,
    anneal: float,
    quantise_from: float,
    held_out: int,
    init: Path | None,
    limit: int,
    seed: int,
    threads: int,
) -> None:
    """Train one of the local models and export it."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    kind = KINDS[name]
    spec, channels, parameters = kind.spec, len(kind.spec.features), 3 * kind.components
    rng = np.random.default_rng(seed)
    images = read_images(data)
    images = [images[i] for i in np.random.default_rng(0).permutation(len(images))][: limit or None]
    train, test = images[held_out:], images[:held_out]
    if kind.variants:
        train = train + [variant(train[i], rng) for i in rng.permutation(len(train))[: len(train) // 2]]
    order = list(COLOUR) if channels == 3 else [1]
    module = TrainableContext(spec, channels, parameters, "logistic_mixture", kind.components)
    if init is not None:
        small = torch.load(init, weights_only=True)
        grow(module, small["average"], msgspec.json.decode(small["spec"], type=ContextSpec))
    network = ContextNetwork(spec, channels, parameters, companding(), module.export())
    start = time.monotonic()
    gathers = [
        Gatherer(Samples.of([np.ascontiguousarray(image[:, :, order]) for image in part], network), spec)
        for part in (train, test)
    ]
    gather, gather_test = gathers
    took = time.monotonic() - start
    click.echo(f"{name}: {len(gather.samples)} pixels surveyed in {took:.0f} s; {spec.macs(parameters)} MAC a pixel")

    optimizer = torch.optim.Adam(module.parameters(), learning_rate, betas=(0.9, 0.99))
    average = {key: p.detach().clone() for key, p in module.named_parameters()}
    log: list[list[float]] = []
    done, spent = 0, 0.0
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        module.load_state_dict(state["module"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        average, log, done, spent = state["average"], state["log"], state["done"], state["spent"]
    began, seen = time.monotonic(), torch.zeros(channels)
    every = 1000
    for step in range(done, steps):
        if step % every == 0 or step == done:
            torch.manual_seed(seed * 1_000_003 + step)
            draw = np.random.default_rng([seed, step])
            module.quantise(step >= quantise_from * steps)
        left = (steps - step) / (anneal * steps)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, left, (step + 1) / 200)
        runs = draw.integers(0, len(gather.samples) - RUN, batch // RUN)
        bits = rate(module, gather((runs[:, None] + np.arange(RUN)).ravel()))
        optimizer.zero_grad(set_to_none=True)
        bits.mean().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            decay = min(0.999, (1 + step) / (10 + step))
            for key, p in module.named_parameters():
                average[key].lerp_(p, 1 - decay)
            seen += bits
        if (step + 1) % every == 0 or step + 1 == steps:
            score = held_out_rate(module, average, gather_test)
            seconds = spent + time.monotonic() - began
            log.append([step + 1, round(seconds, 1), round(float(seen.mean()) / every, 5), *score])
            mean = sum(score) / channels
            click.echo(f"{step + 1:7d} {seconds:7.0f} s  train {log[-1][2]:.4f}  held out {mean:.4f}  {score}")
            seen.zero_()
            state = {
                "module": dict(module.named_parameters()), "optimizer": optimizer.state_dict(), "average": average,
                "log": log, "done": step + 1, "spent": seconds, "spec": msgspec.json.encode(spec),
            }  # fmt: skip
            with atomic.write(checkpoint, overwrite=True) as file:
                torch.save(state, file)
    module.load_state_dict(average, strict=False)
    network = ContextNetwork(spec, channels, parameters, companding(), module.export())
    config = Config(
        version=2,
        kind="context",
        name=name,
        image=ImageSpec(0, 0, channels, 256),
        likelihood=MixtureSpec(kind.components),
        self_test={},
        context=spec,
        colour=COLOUR if channels == 3 else (0,),
    )
    model = Model.from_bytes(dump(config, network.tensors()))
    (out / f"{name}.bbm").write_bytes(model.data)
    card = {
        "name": name,
        "sha256": model.id,
        "bytes": len(model.data),
        "images": kind.images,
        "data": {
            "name": DATA.get(data.name, data.name), "images": len(images), "held_out": held_out,
            "variants": len(train) + held_out - len(images),
        },
        "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest() if data.is_file() else None,
        "training": {
            "steps": steps, "batch": batch, "learning_rate": learning_rate, "anneal": anneal,
            "quantise_from": quantise_from, "init": init and init.name, "seed": seed,
            "minutes": round(log[-1][1] / 60, 1), "device": "cpu",
            "torch": torch.__version__, "python": platform.python_version(), "bitsback": __version__,
            "date": time.strftime("%Y-%m-%d"),
        },
        "macs": {"context, a pixel": spec.macs(parameters)},
        "held_out_bits_per_dim": round(sum(log[-1][3:]) / channels, 5),
        "log": log,
    }  # fmt: skip
    (out / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n")
    click.echo(f"{out / name}.bbm: {len(model.data)} bytes")


if __name__ == "__main__":
    main()
