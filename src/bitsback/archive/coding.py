"""One chunk, coded and decoded: choose the route, code, decode again to be sure; and the way back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.archive.choice import Effort, choose
from bitsback.archive.container import check_sum
from bitsback.archive.members import ByteSection, ChunkHead, ImageSection, Record, Shape
from bitsback.archive.packing import Packing, pack, unpack
from bitsback.archive.plan import Item, Key, Plan, Run
from bitsback.archive.routes import (
    Images,
    Library,
    ModelLike,
    ModelRoute,
    PlainRoute,
    PredictorRoute,
    Route,
    little_endian,
    route_of,
)
from bitsback.errors import BitsBackError, ChecksumError, FormatError


@dataclass(slots=True)
class Coded:
    """A finished chunk and how it came about. ``label`` names the route, ``reason`` says why, both for people."""

    head: bytes
    payload: bytes
    plan: Plan
    label: str
    reason: str
    model: ModelLike | None = None
    samples: int = 0
    """Samples that were kept as images."""
    warnings: list[str] = field(default_factory=list)


def record_of(item: Item) -> Record:
    """What the home chunk keeps about a file."""
    blob = len(item.blob)
    return Record(item.ordinal, item.name, item.size, item.mtime_ns, item.mode, item.recipe, item.counts, blob)


def encode_chunk(
    plan: Plan, library: Library, *, effort: Effort = "normal", verify: bool = True, threads: int = 1
) -> Coded:
    """Code a plan. If all of its files together are smaller as they are, keep them so.

    ``effort`` goes into the choice of the route. ``verify`` decodes each coded section and compares; a route that
    fails is passed over, with a warning. ``threads`` may work on the chunk; what comes out does not depend on them.
    """
    if plan.key.shape is None:
        return _encode_bytes(plan, "stored", "kept byte by byte")
    runs = [run.images() for run in plan.runs if run.part]
    images = np.ascontiguousarray(runs[0] if len(runs) == 1 else np.concatenate(runs))
    route, payload, reason, warnings = _code_images(images, plan.key, library, effort, verify, threads)
    section = ImageSection(
        route.code,
        images.dtype.itemsize,
        plan.key.shape,
        len(images),
        check_sum(little_endian(images)),
        len(payload),
        plan.key.levels,
        bytes.fromhex(route.model.id) if route.model else None,
    )
    byte_section, packed = _code_bytes(plan)
    records = [record_of(item) for item in plan.homes]
    head = ChunkHead(section, byte_section, records, [run.piece for run in plan.runs]).encode()
    files = sum(item.size for item in plan.homes)
    if len(payload) + len(packed) >= files and plan.whole and all(item.keep_bytes() for item in plan.homes):
        kept = Plan(Key(None), plan.homes, [Run(item, 0, 0, item.size) for item in plan.homes if item.size])
        return _encode_bytes(kept, "stored", f"the files themselves are smaller than {route.label} makes them")
    return Coded(head, payload + packed, plan, route.label, reason, route.model, images.size, warnings)


def _encode_bytes(plan: Plan, label: str, reason: str) -> Coded:
    section, packed = _code_bytes(plan)
    records = [record_of(item) for item in plan.homes]
    head = ChunkHead(None, section, records, [run.piece for run in plan.runs]).encode()
    if section and section.packing != Packing.STORED:
        label = "packed"
    return Coded(head, packed, plan, label, reason)


def _code_bytes(plan: Plan) -> tuple[ByteSection | None, bytes]:
    runs = [run for run in plan.runs if not run.part]
    data = b"".join(run.item.blob[run.start : run.start + run.length] for run in runs)
    if not data:
        return None, b""
    how, packed = pack(data) if plan.key.packable else (Packing.STORED, data)
    return ByteSection(how, len(data), check_sum(data)), packed


def _code_images(
    images: Images, key: Key, library: Library, effort: Effort, verify: bool, threads: int
) -> tuple[Route, bytes, str, list[str]]:
    """The best route that proves itself, its payload, why it was taken, and warnings about routes that failed."""
    coded = (images == key.levels[1]).astype(np.uint8) if key.levels else images
    count, *rest = coded.shape
    shape = (rest[0], rest[1], rest[2])
    dtype = coded.dtype.name
    routes, why = _routes(shape, dtype, key, library, effort)
    choice = choose(coded, routes, effort, threads)
    warnings = choice.warnings
    reason = why or choice.reason
    if not choice.ranking or (library.forced and len(routes) == 1):
        choice.ranking.append((PredictorRoute(), 0))  # for a model that fails
    for route, _ in choice.ranking:
        try:
            payload = choice.payloads.get(route.label) or route.encode(coded, threads)
            if len(payload) >= coded.nbytes:
                reason = f"{route.label} would make the samples larger"
                break
            if verify and not np.array_equal(route.decode(payload, count, shape, dtype, threads), coded):
                raise ChecksumError("decoding does not give the same pixels")
        except BitsBackError as error:
            warnings.append(f"{route.label} was not used: {error}")
            continue
        return route, payload, reason, warnings
    plain = PlainRoute()
    return plain, plain.encode(coded), reason, warnings


def _routes(shape: Shape, dtype: str, key: Key, library: Library, effort: Effort) -> tuple[list[Route], str]:
    """What may be tried on such images; and, if there is no choice, why not."""
    models = library.candidates(shape, dtype, 2 if key.levels else None, effort)
    if models and library.forced:
        return [ModelRoute(model) for model in models[:1]], "asked for"
    if models:
        return [*(ModelRoute(model) for model in models), PredictorRoute()], ""
    if not library.forced:
        return [PredictorRoute()], "no model takes such images"
    names = " or ".join(model.name for model in library.given)
    size = "x".join(map(str, shape))
    return [PredictorRoute()], f"the model {names} does not take images of {size} {dtype} samples"


def decode_images(section: ImageSection, payload: bytes, library: Library, threads: int = 1) -> NDArray[Any]:
    """The images of a chunk whose ``payload`` has passed its own check: (count, H, W, C), of the section's type.

    Raises ChecksumError if the pixels are not the ones that went in; ModelNotFoundError; FormatError.
    """
    data = payload[: section.size]
    if len(data) != section.size:
        raise FormatError("the pixel section is cut short")
    route = route_of(section.route, section.model, library)
    dtype = "uint8" if section.levels else section.dtype
    images = route.decode(data, section.count, section.shape, dtype, threads)
    if images.shape != (section.count, *section.shape) or images.dtype != np.dtype(dtype):
        raise FormatError(f"{route.label} decoded to other sizes than announced")
    if section.levels:
        low, high = section.levels
        images = np.where(images > 0, np.array(high, section.dtype), np.array(low, section.dtype))
    if check_sum(little_endian(images)) != section.check:
        raise ChecksumError(f"{route.label} decoded to other pixels than were stored")
    return images


def decode_bytes(head: ChunkHead, payload: bytes) -> bytes:
    """The unpacked byte section of a chunk."""
    packed = payload[head.images.size if head.images else 0 :]
    if head.data is None:
        if packed:
            raise FormatError("the payload is longer than its sections")
        return b""
    data = unpack(head.data.packing, packed, head.data.size)
    if check_sum(data) != head.data.check:
        raise ChecksumError("the byte section unpacked to other bytes than were stored")
    return data


__all__ = ["Coded", "decode_bytes", "decode_images", "encode_chunk", "record_of"]
