"""What decoding hostile payloads takes, measured, beside what the kinds say. test_memory.py runs it as a process.

Prints a line of JSON for each case: its name, the most resident memory beyond what there was before, and the bound.
Linux only, where a process can set its own high-water mark back.
"""

import ctypes
import gc
import json
import lzma
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from msgspec import structs

sys.path.append(str(Path(__file__).parents[1]))

from bitsback.errors import BitsBackError
from bitsback.kinds import WITHOUT_WEIGHTS
from bitsback.kinds.adaptive import payload, serial, smooth
from bitsback.kinds.base import Coder, ImageSpec
from bitsback.kinds.context import tiles
from bitsback.kinds.context.config import ContextConfig
from bitsback.kinds.context.network import ContextNetwork, ContextSpec, Feature, Memory, RegressionSpec, Tap
from bitsback.kinds.likelihoods import MixtureSpec
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.phases.grids import taps
from bitsback.kinds.phases.network import SIZE, PhasesSpec, head_name, head_tensors
from bitsback.kinds.vae.config import VAEConfig
from bitsback.kinds.varint import varint
from bitsback.models import Model
from bitsback.nets.engine import ENGINES
from bitsback.nets.layers import Conv, Dense, Flatten, NetSpec, Network, Shuffle, Skip, Unflatten, Weights

Whole = tuple[int, int, int, int]

RNG = np.random.default_rng(0)


def peak(decode: Callable[[], object]) -> int:
    """The most bytes that a call takes, in pages."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water()
    with suppress(BitsBackError):  # of what is left on the stack: all images have been decoded
        decode()
    return high_water() - before


def high_water() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def report(name: str, coder: Coder, data: bytes, whole: Whole, dtype: str = "uint8", threads: int = 1) -> None:
    count, shape = whole[0], whole[1:]
    took = peak(lambda: coder.decode(data, count, shape, dtype, threads))
    bound = coder.memory(count, shape, dtype, len(data), threads)
    images = int(np.prod(whole)) * np.dtype(dtype).itemsize
    print(json.dumps({"name": f"{name} {whole} {dtype}", "peak": took, "bound": bound, "images": images}), flush=True)


# The adaptive kind ----------------------------------------------------------------------------------------------------

ADAPTIVE = WITHOUT_WEIGHTS[1]
SIMPLE = {"smooth": 0x40, "colours": 0x42, "regressed": 0x50, "references": 0x60, "mixing": 0x80}
SIMPLE |= {"converted": 0x52, "blended": 0x92, "both": 0xA0}
SERIAL = {"lzma": 0x10, "two": 0x18, "median": 0x14, "ycocg": 0x16}


def adaptive_payload(name: str, whole: Whole, itemsize: int) -> bytes:
    """Of images that compress to next to nothing: a variant, or variants within each other, as "levels-smooth"."""
    first, _, inner = name.partition("-")
    if first in SIMPLE:
        return payload.encode_as(np.zeros(whole, f"u{itemsize}"), SIMPLE[first])
    if first in SERIAL:
        size = serial._serial_size(whole, np.dtype(f"u{itemsize}"), SERIAL[first])
        chain = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 22}]
        return bytes([SERIAL[first]]) + lzma.compress(bytes(size), lzma.FORMAT_RAW, filters=chain)
    if first == "apart":
        one = adaptive_payload(inner, (1, *whole[1:]), itemsize)
        return b"\xc2" + b"".join(varint(len(one)) + one for _ in range(whole[0]))
    channels = 1 if first == "levels" else whole[3]
    colours = min(int(np.prod(whole)) // channels, 60_000 if itemsize == 2 else 256)
    table = np.zeros((1, 1, colours, channels), f"u{itemsize}")
    said = payload.encode_as(table, 0x40 if smooth.takes(table.shape, 0) else 0x10)
    rest = adaptive_payload(inner, whole if first == "levels" else (*whole[:3], 1), 1 if colours <= 256 else 2)
    return (b"\xc1" if first == "levels" else b"\xc0") + varint(colours) + varint(len(said)) + said + rest


ADAPTIVE_CASES: list[tuple[str, Whole, int]] = [
    *((name, (1, 700, 900, 3), itemsize) for name in (*SERIAL, "smooth", "colours") for itemsize in (1, 2)),
    *((name, (1, 600, 700, 1), 1) for name in ("mixing", "levels-mixing")),
    ("smooth", (1, 1, 1, 1), 1),
    ("smooth", (1, 1, 1, 128), 1),
    ("smooth", (8192, 1, 1, 300), 2),
    ("smooth", (1, 1, 1 << 19, 1), 2),
    ("smooth", (1, 4, 300_000, 2), 1),
    ("smooth", (1, 600_000, 1, 1), 1),
    ("smooth", (500_000, 1, 1, 1), 1),
    ("regressed", (1, 700, 900, 1), 2),
    ("converted", (1, 700, 900, 3), 1),
    ("references", (2, 8, 8192, 1), 1),
    ("blended", (1, 700, 900, 3), 1),
    ("blended", (1, 8, 680, 3), 2),
    ("blended", (1, 9, 9, 3), 1),
    ("blended", (1, 512, 9000, 3), 1),
    ("both", (2, 8, 2048, 1), 1),
    ("mixing", (1, 1, 1 << 19, 1), 2),
    ("mixing", (30_000, 4, 4, 1), 1),
    ("median", (1, 1, 1, 2_000_000), 2),
    ("lzma", (1, 1, 2_000_000, 1), 2),
    ("levels-smooth", (1, 700, 900, 3), 2),
    ("levels-median", (1, 700, 900, 3), 1),
    ("levels-lzma", (1, 1, 1, 1_000_000), 2),
    ("palette-smooth", (1, 1, 100_000, 4), 2),
    ("palette-mixing", (1, 700, 700, 3), 2),
    ("palette-two", (1, 500, 500, 20), 2),
    ("palette-lzma", (2, 1, 1, 1_000_000), 2),
    ("apart-smooth", (16, 200, 300, 3), 2),
    ("apart-levels-median", (2, 500, 600, 3), 2),
]


def adaptive() -> None:
    ADAPTIVE.prove()
    for name, whole, itemsize in ADAPTIVE_CASES:
        data = adaptive_payload(name, whole, itemsize)
        report(name, ADAPTIVE, data, whole, f"uint{8 * itemsize}")


# The filtered kind ----------------------------------------------------------------------------------------------------

FILTERED = WITHOUT_WEIGHTS[6]


def filtered() -> None:
    FILTERED.prove()
    report("warm-up", FILTERED, FILTERED.encode(np.zeros((1, 40, 50, 3), np.uint8)), (1, 40, 50, 3))
    for how in (0, 3, 4, 8, 11):
        for whole, itemsize in (
            ((1, 1, 1, 1), 1), ((1, 700, 900, 3), 1), ((9, 200, 300, 1), 2), ((1, 1, 2_000_000, 1), 2),
            ((2, 1, 1, 1_000_000), 1),
        ):  # fmt: skip
            chain = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 22}]
            data = bytes([how]) + lzma.compress(bytes(int(np.prod(whole)) * itemsize), lzma.FORMAT_RAW, filters=chain)
            report(f"way {how}", FILTERED, data, whole, f"uint{8 * itemsize}")


# Context networks -----------------------------------------------------------------------------------------------------


def hungry(channels: int, memories: int, taps: int) -> Model:
    """A context network whose planes, memories and moments are as many as may be, and whose layers are tiny."""
    regression = RegressionSpec(tuple(Tap("value", i % channels, -(1 + i // 7), -(i % 7)) for i in range(taps)))
    spec = ContextSpec(
        ((Feature(Tap("value", 0, -1, 0)),),) * channels,
        ((1,),) * channels,
        regression=regression if taps else None,
        memories=tuple(Memory(c % channels, (Tap("value", 0, -1, 0),)) for c in range(memories)),
    )
    weights = [[small_weights(layer.outputs, 1, np.int16) for layer in spec.layers(c, 3)] for c in range(channels)]
    network = ContextNetwork(spec, channels, 3, np.arange(8192).astype(np.uint8), weights)
    image = ImageSpec(0, 0, channels, 256)
    colour = tuple(reversed(range(channels)))
    config = ContextConfig(name="hungry", image=image, likelihood=MixtureSpec(1), context=spec, colour=colour)
    return Model.made(config, network.tensors())


def small_weights(outputs: int, inputs: int, dtype: type, *kernel: int) -> Weights:
    weight = RNG.integers(-1, 2, (outputs, inputs, *kernel)).astype(dtype)
    return Weights(weight, np.zeros(outputs, np.int32), np.full(outputs, 3, np.uint8))


def stack_of_noise(lanes: int, symbols: int) -> bytes:
    return (1 << 33).to_bytes(8, "little") * lanes + RNG.bytes(4 * (3 * symbols // 4 + 16))


def pieces_of_noise(whole: Whole) -> bytes:
    """Every piece's stack has enough bits for all of its samples."""
    sizes, stacks = [], []
    for images, rows, columns in tiles.pieces(whole):
        pixels = (images.stop - images.start) * (rows.stop - rows.start) * (columns.stop - columns.start)
        stacks.append(stack_of_noise(tiles.lanes(whole), pixels * whole[3]))
        sizes.append(varint(len(stacks[-1]) // 4 - 2 * tiles.lanes(whole)))
    return b"".join([*sizes[:-1], *stacks])


def context() -> None:
    models = [hungry(4, 32, 28), hungry(4, 0, 28), hungry(1, 32, 0), Model.load("photos-fast")]
    for model in models:
        name, channels = f"{model.name} {len(model.config.context.memories)}", model.shape[2]
        shapes = ((1, 4, 4), (20_000, 1, 1), (1, 1, 100_000), (1, 100_000, 1), (1, 512, 200), (1, 60, 1024))
        report("warm-up", model, pieces_of_noise((1, 40, 40, channels)), (1, 40, 40, channels))
        for n, height, width in shapes:
            whole = (n, height, width, channels)
            report(name, model, pieces_of_noise(whole), whole)
        whole = (4, 20, 1100, channels)
        report(f"{name}, 4 threads", model, pieces_of_noise(whole), whole, threads=4)


# Models in phases -----------------------------------------------------------------------------------------------------


def trunks(channels: int, width: int, blocks: int, reach: int) -> PhasesSpec:
    spec = PhasesSpec((), (16,), (reach,) * channels, (reach,) * channels, 1)
    layers = (Conv(width, width, 3), Conv(width, width, 3), Skip()) * blocks
    seen = [spec.inputs(phase, channels, predicted=True) for phase in range(3)]
    return structs.replace(spec, trunks=tuple(NetSpec((n, *SIZE), (Conv(n, width, 1), *layers)) for n in seen))


def phases() -> None:
    for channels, width, blocks, reach in ((3, 24, 1, 2), (1, 8, 0, 1), (4, 64, 1, 4)):
        spec = trunks(channels, width, blocks, reach)
        config = PhasesConfig(
            name=f"phases-{width}", image=ImageSpec(0, 0, channels, 256), likelihood=MixtureSpec(2), phases=spec,
            colour=tuple(reversed(range(channels))),
        )  # fmt: skip
        tensors = {"table": np.arange(8192).astype(np.uint8)}
        for phase, trunk in enumerate(spec.trunks):
            tensors |= small_network(trunk).tensors(f"trunk.{phase}")
            inputs = channels * len(taps(phase, reach))
            one = small_weights(channels, inputs, np.int16)
            tensors |= {f"filter.0.{phase}.{part}": getattr(one, part) for part in Weights.__struct_fields__}
        for place in (None, 0, 1, 2):
            heads = [spec.head(place, c, 6) for c in range(channels)]
            made = [[small_weights(d.outputs, d.inputs, np.int16) for d in layers] for layers in heads]
            tensors |= head_tensors(head_name(0, place), made)
        config = config.with_self_test(tensors)
        config.check()
        shapes = [(1, 256, 256), (1, 300, 500), (70, 32, 32), (20_000, 1, 1), (1, 1, 20_000)]
        for engine in ENGINES[: 2 if width > 60 else 3]:  # the reference takes long over these
            coder = config.build(tensors, [engine], 1, 1 << 12)
            for n, height, width_ in shapes[: 5 if engine == "int8" else 1]:
                whole = (n, height, width_, channels)
                data = coder.encode(np.zeros(whole, np.uint8), 1)
                model = config.build(tensors, [engine], 1, 1 << 12)  # one whose engine has kept nothing yet
                took = peak(lambda model=model, data=data, whole=whole: model.decode(data, whole[0], whole[1:], 1))
                bound = config.memory(n, whole[1:], len(data), 1)
                name = f"{config.name} {whole}, {engine}"
                print(
                    json.dumps({"name": name, "peak": took, "bound": bound, "images": int(np.prod(whole))}), flush=True
                )


# Models with latents --------------------------------------------------------------------------------------------------

LAST = (Flatten(), Dense(1024, 12))
START = (Dense(6, 4096), Unflatten(1, 64, 64))

LATENT_CASES: dict[str, tuple[int, int, tuple, tuple]] = {
    "large kernels": (
        128, 8, (Conv(1, 16, 1), Conv(16, 1, 15, 4), *LAST),
        (*START, Conv(1, 4, 1), Shuffle(2), Conv(1, 20, 1), Conv(20, 3, 15)),
    ),
    "large images": (
        512, 3, (Conv(1, 4, 5, 4), Conv(4, 1, 5, 4), *LAST), (*START, Conv(1, 192, 1), Shuffle(8)),
    ),
    "many channels": (
        64, 20, (Conv(1, 64, 3), Conv(64, 1, 1), Conv(1, 1, 3, 2), *LAST), (*START, Conv(1, 250, 1), Conv(250, 3, 1)),
    ),
    "many weights": (
        28, 70, (Flatten(), Dense(784, 2600), Dense(2600, 12)),
        (Dense(6, 1000), Dense(1000, 2352), Unflatten(3, 28, 28)),
    ),
}  # fmt: skip


def small_network(spec: NetSpec) -> Network:
    weights = {}
    for index, layer in enumerate(spec.layers):
        if layer.weight_shape is not None:
            outputs, inputs, *kernel = layer.weight_shape
            weights[index] = small_weights(outputs, inputs, np.int8, *kernel)
    return Network(spec, weights)


def latent() -> None:
    edge, _, *layers = LATENT_CASES["many weights"]
    latent_case("warm-up", edge, 2, *layers)
    for name, case in LATENT_CASES.items():
        latent_case(name, *case)


def latent_case(name: str, edge: int, count: int, first: tuple, second: tuple) -> None:
    """With what building the networks takes."""
    encoder, decoder = small_network(NetSpec((1, edge, edge), first)), small_network(NetSpec((6,), second))
    config = VAEConfig(
        name=name, image=ImageSpec(edge, edge, 1, 256), latents=6, latent_bits=8, likelihood=MixtureSpec(1),
        encoder=encoder.spec, decoder=decoder.spec,
    )  # fmt: skip
    tensors = {**encoder.tensors("encoder"), **decoder.tensors("decoder")}
    config = config.with_self_test(tensors)
    config.check()
    shape, samples = (edge, edge, 1), count * edge * edge
    data = b"\x01\x00" + stack_of_noise(8 if samples >= 1 << 17 else 1, samples + 6 * count)
    bound = config.memory(count, shape, len(data), 1)
    for engine in ENGINES[: 2 if name == "large kernels" else 3]:  # the reference takes long over these
        took = peak(lambda engine=engine: config.build(tensors, [engine], 1, 1 << 12).decode(data, count, shape, 1))
        print(json.dumps({"name": f"{name}, {engine}", "peak": took, "bound": bound, "images": samples}), flush=True)


if __name__ == "__main__":
    parts = {"adaptive": adaptive, "filtered": filtered, "context": context, "latent": latent, "phases": phases}
    parts[sys.argv[1]]()
