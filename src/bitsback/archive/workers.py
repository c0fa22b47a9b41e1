"""Blocks coded and decoded by other processes, on this machine or on others.

What is asked for and what is answered are bytes, so that whatever has ``submit`` can carry them: an executor of
:mod:`concurrent.futures`, or a client of Dask. A task is all that its answer depends on, so it may be done twice, by
whomever, and gives the same bytes as here. Models are named by their SHA-256; a worker that has not seen one says so,
and is given it. Workers run the same version as who asks, to the last line, or are refused.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import xxhash

import bitsback
from bitsback.archive import front as fronts
from bitsback.archive.coding import CodedBlock, Decoded, coded_block, decode_block, encode_block
from bitsback.archive.container import check_sum
from bitsback.archive.fields import Cursor
from bitsback.archive.front import Front
from bitsback.archive.head import Block
from bitsback.archive.library import ADAPTIVES, PLAIN, Library
from bitsback.archive.limits import Limits
from bitsback.errors import BitsBackError, FormatError, ModelNotFoundError
from bitsback.kernels import cache as kernels
from bitsback.kinds.base import Coder, Effort, Images, Lot
from bitsback.kinds.plain import little_endian
from bitsback.threads import thread_count

WAITING = 64
"""Tasks that are with workers at a time."""

WAITS = (0.0, 1.0, 3.0, 9.0)
"""Seconds before a task that was lost, with its worker or their scheduler, is handed out once more."""


class Promise(Protocol):
    """What ``submit`` gives."""

    def result(self) -> Any:
        """What the function returned, or raises what it raised."""


class Submits(Protocol):
    """Whoever has functions run elsewhere: an executor of concurrent.futures, or a client of Dask."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Have it run; a :class:`Promise`."""


_Named = tuple[int, str, Effort | None]
"""A coder: its tag, the SHA-256 of its model, and of the adaptive kind how much time it has. Whatever its bytes depend
on is here."""


class _Task(msgspec.Struct, frozen=True, array_like=True):
    """A block to encode, or to decode."""

    coders: tuple[_Named, ...]
    """One, where there is a payload."""
    front: bytes
    lots: tuple[tuple[int, tuple[int, int, int]], ...]
    sample_bytes: int
    verify: bool = False
    samples: bytes = b""
    payload: bytes | None = None
    check: int = 0


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """The payload, or the samples; or why not."""

    version: str
    data: bytes = b""
    coder: int = -1
    """Which of the coders it was; -1: none of them."""
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Models that the worker does not have."""
    problem: str = ""
    """What is wrong with the worker, or the payload."""


@cache
def version() -> str:
    """What two processes have in common that make the same bytes."""
    return f"{bitsback.__version__} ({kernels.sources()[:12]})"


class Workers:
    """Other processes, by way of ``executor``; all methods may be called by several threads."""

    def __init__(self, executor: Submits) -> None:
        self._executor = executor
        self._gone = ""
        self._here = threading.Semaphore(thread_count())

    def encode(self, lots: Sequence[Images], before: Front, coders: Sequence[Coder], verify: bool) -> CodedBlock:
        """What :func:`~bitsback.archive.coding.encode_block` does. If no worker can, it is done here."""
        task = _encoding(lots, before, coders, verify)
        answer = self._ask(task, {coder.id: coder for coder in coders if coder.id})
        if answer.problem:
            with self._here:
                block = encode_block(lots, before, coders, verify=verify)
            return CodedBlock(block.block, block.payload, block.coder, (*block.warnings, answer.problem))
        return _block_of(answer, lots, before, coders)

    def decode(self, block: Block, payload: bytes, library: Library, limits: Limits) -> Decoded:
        """What :func:`~bitsback.archive.coding.decode_block` does, and with its errors."""
        coder = library.coder(block.tag, block.model.hex())
        front = fronts.encode(block.front) if block.front else b""
        task = _Task((_named(coder),), front, tuple(block.lots), block.sample_bytes, payload=payload, check=block.check)
        answer = self._ask(task, {coder.id: coder} if coder.id else {})
        if not answer.problem:
            with suppress(FormatError):
                images = _arrays(answer.data, block.lots, block.sample_bytes)
                if check_sum(*map(little_endian, images)) == block.check:
                    return Decoded(images)
        with self._here:
            return decode_block(block, payload, library, limits)

    def _ask(self, task: _Task, models: Mapping[str, Any]) -> _Answer:
        """A worker's answer; of one that could not be had, what the problem is."""
        from asyncio import CancelledError  # here, so that it is loaded only where there are workers

        packed, given = msgspec.msgpack.encode(task), dict[str, bytes]()
        waits = list(WAITS)
        while not self._gone:
            try:
                answer = self._submit(packed, given)
            except (Exception, CancelledError) as error:
                told = f"a worker was lost ({type(error).__name__}), and what it did was done here"
                if isinstance(error, BrokenExecutor):
                    self._gone = told
                if isinstance(error, BrokenExecutor) or not waits:
                    return _Answer(version(), problem=told)
                time.sleep(waits.pop(0))
                continue
            if answer.version != version():
                raise BitsBackError(f"a worker runs bitsback {answer.version}, and here it is {version()}")
            if not answer.missing or given:
                return answer
            given = {identity: models[identity].data for identity in answer.missing}
        return _Answer(version(), problem=self._gone)

    def _submit(self, packed: bytes, given: Mapping[str, bytes]) -> _Answer:
        answer: Promise = self._executor.submit(work, version(), packed, given)
        return msgspec.msgpack.decode(answer.result(), type=_Answer)


class Kept:
    """A folder of finished blocks, by what they are of: so that what was cut off can go on where it was.

    What is damaged there, or of another version, is done anew. Whatever else the folder holds is left alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[Path] = set()

    def encoded(
        self, lots: Sequence[Images], before: Front, coders: Sequence[Coder], encode: Callable[[], CodedBlock]
    ) -> CodedBlock:
        """The block that is kept, or what ``encode`` makes, which is kept then. OSError if that fails."""
        task = _encoding(lots, before, coders, False)
        key = hashlib.sha256(version().encode() + msgspec.msgpack.encode(task)).hexdigest()
        path = self._folder / f"{key}.block"
        self._used.add(path)
        with suppress(OSError, BitsBackError, msgspec.DecodeError):
            data = path.read_bytes()
            if xxhash.xxh3_64_digest(data[8:]) == data[:8]:
                return _block_of(msgspec.msgpack.decode(data[8:], type=_Answer), lots, before, coders)
        coded = encode()
        data = msgspec.msgpack.encode(_answer_of(coded, coders))
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            part.write_bytes(xxhash.xxh3_64_digest(data) + data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return coded

    def clear(self) -> None:
        """Remove what was kept of what is done now, and the folder, if nothing else is in it."""
        for path in self._used:
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):
            self._folder.rmdir()


# In a worker ---------------------------------------------------------------------------------------------------------

_lock = threading.Lock()


@cache
def _library() -> Library:
    """The worker's own: it keeps what it was given for as long as it lives."""
    return Library()


def work(asked: str, packed: bytes, given: Mapping[str, bytes]) -> bytes:
    """Do a task. ``asked``: the version of who asks; ``given``: model files by their SHA-256."""
    if asked != version():
        return msgspec.msgpack.encode(_Answer(version()))
    return msgspec.msgpack.encode(_answer(msgspec.msgpack.decode(packed, type=_Task), given))


def _answer(task: _Task, given: Mapping[str, bytes]) -> _Answer:
    coders: list[Coder] = []
    missing: list[str] = []
    try:
        with _lock:
            for identity, data in given.items():
                _library().add_file(identity, data)
            for tag, identity, effort in task.coders:
                try:
                    coder = ADAPTIVES[effort] if effort else _library().coder(tag, identity)
                except ModelNotFoundError:
                    missing.append(identity)
                    continue
                coder.prepare()
                coders.append(coder)
        if missing:
            return _Answer(version(), missing=tuple(missing))
        before = fronts.read(Cursor(task.front)) if task.front else ()
        lots = [Lot(n, shape) for n, shape in task.lots]
        if task.payload is not None:
            block = Block(coders[0].tag, task.sample_bytes, tuple(lots), len(task.payload), task.check, before,
                          bytes.fromhex(coders[0].id))  # fmt: skip
            decoded = decode_block(block, task.payload, _library(), Limits())
            return _Answer(version(), b"".join(map(little_endian, decoded.lots)))
        coded = encode_block(_arrays(task.samples, lots, task.sample_bytes), before, coders, verify=task.verify)
    except BitsBackError as error:
        return _Answer(version(), problem=str(error))
    return _answer_of(coded, coders)


# Of both --------------------------------------------------------------------------------------------------------------


def _named(coder: Coder) -> _Named:
    effort = next((effort for effort, one in ADAPTIVES.items() if one is coder), None)
    return coder.tag, coder.id, effort


def _encoding(lots: Sequence[Images], before: Front, coders: Sequence[Coder], verify: bool) -> _Task:
    return _Task(
        tuple(map(_named, coders)),
        fronts.encode(before) if before else b"",
        tuple((len(images), (images.shape[1], images.shape[2], images.shape[3])) for images in lots),
        lots[0].itemsize,
        verify,
        b"".join(map(little_endian, lots)),
    )


def _arrays(samples: bytes, lots: Sequence[Lot], sample_bytes: int) -> list[Images]:
    """Lots of images. FormatError if these are not their samples."""
    if len(samples) != sum(n * height * width * channels for n, (height, width, channels) in lots) * sample_bytes:
        raise FormatError("not as many samples as there should be")
    flat = np.frombuffer(samples, f"<u{sample_bytes}").astype(f"u{sample_bytes}", copy=False)
    out, at = [], 0
    for n, shape in lots:
        size = n * shape[0] * shape[1] * shape[2]
        out.append(flat[at : at + size].reshape(n, *shape))
        at += size
    return out


def _answer_of(coded: CodedBlock, coders: Sequence[Coder]) -> _Answer:
    which = coders.index(coded.coder) if coded.coder in coders else -1
    return _Answer(version(), coded.payload, which, coded.warnings)


def _block_of(answer: _Answer, lots: Sequence[Images], before: Front, coders: Sequence[Coder]) -> CodedBlock:
    coder = coders[answer.coder] if 0 <= answer.coder < len(coders) else PLAIN
    return coded_block(lots, before, coder, answer.data, answer.warnings)


__all__ = ["WAITING", "Kept", "Submits", "Workers", "version", "work"]
