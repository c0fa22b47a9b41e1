"""The model file: safetensors, whose metadata holds the configuration as JSON. Its identity is its SHA-256.

A model file may come from a stranger. Opening one runs no code: the kinds of model and of layer are a closed list,
every field is known, what running the model costs is bounded, and all numbers are checked before one of them is used.
A check over the whole file, which :func:`dump` writes, tells a damaged file from a sound one.
"""

from __future__ import annotations

import json
import math
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from bitsback.errors import ChecksumError, LimitError, ModelError, UnsupportedVersionError
from bitsback.kinds.context.network import ContextNetwork, ContextSpec
from bitsback.nets.layers import NetSpec, Network

VERSIONS = (1, 2, 3, 4)
REACH_2 = 4
"""Pixels that a tap may be away in version 2, in rows or columns; later ones: ``kinds.context.network.MARGIN``."""

MAX_FILE = 256 << 20
MAX_HEADER = 1 << 20
MAX_NAME = 100
MAX_IMAGE_MACS = 1 << 30
"""Multiply-accumulates of encoder and decoder for one image."""
MAX_PIXEL_MACS = 1 << 18
"""Multiply-accumulates of all networks for one pixel."""

METADATA_KEY = "bitsback"
CHECK_KEY = "check"
SUFFIX = ".bbm"

_TYPES = {"I8": np.int8, "I16": np.int16, "U8": np.uint8, "I32": np.int32}
_NO_CHECK = "0" * 16


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one image is: its shape, and how many values a sample takes (2: samples 0 and 1; 256: bytes)."""

    height: int
    width: int
    channels: int
    levels: Literal[2, 256]


class BernoulliSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="family", tag="bernoulli"):
    """One logit a pixel."""


class MixtureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="family", tag="logistic_mixture"):
    """Means, scales and weights of a mixture of discretised logistics for each sample."""

    components: int


def version_of(context: ContextSpec) -> int:
    """The first version of the model file that has all that a context network has."""
    if context.memories:
        return 4
    return 3 if context.reach > REACH_2 or context.anchors or context.sharp else 2


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Everything about a model but its tensors; the normative description is in docs/format.md.

    A model of kind "vae" has latents, an encoder and a decoder; one of kind "context" has none. Either may have a
    context network (a "context" model must), and is then of version 2, 3 if it is sharp, has anchors, or a tap of it is
    further away than :data:`REACH_2`, and 4 if it has memories.
    """

    version: int
    kind: Literal["vae", "context"]
    name: str
    image: ImageSpec
    latents: int = 0
    latent_bits: int = 0
    likelihood: BernoulliSpec | MixtureSpec
    encoder: NetSpec | None = None
    decoder: NetSpec | None = None
    self_test: dict[str, str]
    """SHA-256 of each network's outputs on the self-test input."""
    context: ContextSpec | None = None
    colour: tuple[int, ...] = (0,)
    """The channels of an image in coding order."""

    @property
    def parameters(self) -> int:
        """Parameters of one sample's distribution."""
        return 3 * self.likelihood.components if isinstance(self.likelihood, MixtureSpec) else 1

    @property
    def networks(self) -> dict[str, NetSpec]:
        """The encoder and the decoder, if the model has latents."""
        both = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: network for name, network in both.items() if network is not None}

    @property
    def pixel_macs(self) -> int:
        """Multiply-accumulates of the context network for one pixel."""
        return self.context.macs(self.parameters) if self.context is not None else 0

    @property
    def values(self) -> int:
        """The most values that a layer of encoder or decoder takes or gives for one image; at least 1."""
        shapes = (shape for network in self.networks.values() for shape in network.shapes())
        return max(map(math.prod, shapes), default=1)

    def check(self) -> None:
        """Raise ModelError where the parts do not fit each other."""
        image, latent = self.image, self.kind == "vae"
        check_name(self.name)
        components = self.likelihood.components if isinstance(self.likelihood, MixtureSpec) else 1
        if not (0 <= image.height <= 4096 and 0 <= image.width <= 4096 and 1 <= image.channels <= 4):
            raise ModelError("the model's image shape is not supported")
        if latent and not (image.height and image.width and image.channels == 1):
            raise ModelError("the model's image shape is not supported")
        if not 1 <= components <= 16 or sorted(self.colour) != list(range(image.channels)):
            raise ModelError("the model's mixture or order of channels is not valid")
        if (image.levels == 2) != isinstance(self.likelihood, BernoulliSpec):
            raise ModelError("the model's likelihood does not fit its samples")
        if self.version == 1 and (self.context is not None or not latent or self.colour != (0,)):
            raise ModelError("the model's parts do not exist in version 1")
        if self.context is not None:
            self.context.check(image.channels)
            if self.version < version_of(self.context):
                raise ModelError(f"the context network has parts that do not exist in version {self.version}")
            if any(len(anchors) != components for anchors in self.context.anchors):
                raise ModelError("the context network does not have an anchor for each component")
            if image.levels == 2 and (self.context.anchors or self.context.sharp):
                raise ModelError("the context network does not fit the model")
            if self.context.border >= image.levels:
                raise ModelError("the context network's border is not a level of the model's images")
            if (self.context.has_reference and image.levels == 2) or (self.context.map and not latent):
                raise ModelError("the context network does not fit the model")
        elif not latent:
            raise ModelError("the model has neither latents nor a context network")
        if latent:
            self._check_latents()
        elif self.encoder is not None or self.decoder is not None or self.latents or self.latent_bits:
            raise ModelError("a model without latents has no encoder and no decoder")
        if set(self.self_test) != ({"encoder", "decoder"} if latent else set()):
            raise ModelError("the model file lacks its self-test")
        an_image = sum(network.macs() for network in self.networks.values())
        a_pixel = self.pixel_macs + an_image // max(image.height * image.width, 1)
        if an_image > MAX_IMAGE_MACS or a_pixel > MAX_PIXEL_MACS:
            raise ModelError("the model takes more computation than is allowed")

    def _check_latents(self) -> None:
        image = self.image
        if not (1 <= self.latents <= 4096 and 1 <= self.latent_bits <= 12):
            raise ModelError("the model's latents are beyond the limits")
        if self.encoder is None or self.decoder is None:
            raise ModelError("the model lacks its encoder or decoder")
        if self.encoder.input != (image.channels, image.height, image.width):
            raise ModelError("the encoder does not take the model's images")
        if self.encoder.output != (2 * self.latents,) or self.decoder.input != (self.latents,):
            raise ModelError("the encoder or decoder does not fit the model's latents")
        maps = image.channels * self.parameters if self.context is None else self.context.map
        if self.decoder.output != (maps, image.height, image.width):
            raise ModelError("the decoder does not give the likelihood's parameters, or the feature map")


def check_name(name: str) -> None:
    """Raise ModelError if a model cannot be called that."""
    if not 1 <= len(name) <= MAX_NAME or any(char < " " or "\x7f" <= char <= "\x9f" for char in name):
        raise ModelError(f"the model's name must have 1 to {MAX_NAME} characters, and no control characters")


# Made here, once: msgspec puts a type's description together at its first use, which is not safe in two threads
_DECODER = msgspec.json.Decoder(Config)


def dump(config: Config, tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Serialise; the same model always gives the same bytes."""
    # As the safetensors library does, but that one puts the keys of the metadata into a random order
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, tensors[name].dtype.kind == "u", name))
    text = msgspec.json.encode(config, order="deterministic").decode()
    header: dict[str, Any] = {"__metadata__": {CHECK_KEY: _NO_CHECK, METADATA_KEY: text}}
    body, kinds = bytearray(), {np.dtype(dtype): kind for kind, dtype in _TYPES.items()}
    for name in order:
        begin, tensor = len(body), tensors[name]
        body += tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": kinds[tensor.dtype], "shape": tensor.shape, "data_offsets": [begin, len(body)]}
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    data = struct.pack("<Q", len(head)) + head + body
    return data.replace(_NO_CHECK.encode(), xxhash.xxh3_64_hexdigest(data).encode(), 1)


def read(path: Path, most: int = MAX_FILE) -> bytes:
    """The bytes of a file of at most ``most``, without reading on for ever where it is no file, or a huge one.

    Raises:
        ModelError, LimitError: it is not a regular file, or too large. OSError.
    """
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ModelError("not a regular file")
    if info.st_size > most:
        raise LimitError(f"{info.st_size} bytes are beyond the limit of {most}")
    with path.open("rb") as file:
        return file.read(most)


def parse(data: bytes) -> tuple[Config, dict[str, NDArray[Any]]]:
    """Check and take apart a model file.

    Raises:
        ModelError: not a well-formed model file, or one that would be unsafe to run. ChecksumError: damaged.
        LimitError: too large. UnsupportedVersionError: a newer version.
    """
    if len(data) > MAX_FILE:
        raise LimitError(f"{len(data)} bytes are beyond the limit of {MAX_FILE}")
    size = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else len(data)
    if size > min(MAX_HEADER, len(data) - 8):
        raise ModelError(f"not a model file: {_looks_like(data)}")
    try:
        header = _DECODE(str(data[8 : 8 + size], "utf-8"))
        metadata = header.pop("__metadata__")
        text, check = metadata.pop(METADATA_KEY), metadata.pop(CHECK_KEY, None)
        version = _DECODE(text)["version"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError("not a model file, or a damaged one: its header is not valid") from None
    if metadata:
        raise ModelError("the model file has metadata of an unknown kind")
    if check is not None:
        _verify(data, 8 + size, check)
    if type(version) is not int or version not in VERSIONS:
        words = f"of version {version}" if type(version) is int else "without a version"
        raise UnsupportedVersionError(
            f"the model file is {words}; this bitsback reads versions {', '.join(map(str, VERSIONS))}"
        )
    tensors = _tensors(header, memoryview(data)[8 + size :])
    try:
        config = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ModelError(f"the model's configuration is not valid: {ascii(str(error))[1:-1]:.200}") from None
    config.check()
    _check_tensors(config, tensors)
    return config, tensors


def _verify(data: bytes, body: int, check: Any) -> None:
    """Compare the check, which covers the file with the check's own digits written as zeros."""
    head = data[:body]
    digits = check.encode() if isinstance(check, str) and len(check) == len(_NO_CHECK) and check.isascii() else b""
    if not digits or head.count(digits) != 1:
        raise ChecksumError("the model file is damaged: its check is not in its place")
    state = xxhash.xxh3_64(head.replace(digits, _NO_CHECK.encode()))
    state.update(memoryview(data)[body:])
    if state.hexdigest() != check:
        raise ChecksumError("the model file is damaged: its check does not fit its content")


def _tensors(header: dict[str, Any], body: memoryview) -> dict[str, NDArray[Any]]:
    """The tensors, which must cover the body without gaps or overlaps."""
    tensors: dict[str, NDArray[Any]] = {}
    spans = []
    for name, entry in header.items():
        try:
            kind, shape, (begin, end) = entry.pop("dtype"), entry.pop("shape"), entry.pop("data_offsets")
            dtype = np.dtype(_TYPES[kind])
            whole = len(shape) <= 4 and all(type(n) is int and n >= 0 for n in (*shape, begin, end))
            if entry or not whole or end > len(body) or end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError
            tensors[name] = np.frombuffer(body[begin:end], dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ModelError(f"the model's tensor {name!a:.80} is not valid") from None
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ModelError("the model's tensors overlap or leave gaps")
        position = end
    if position != len(body):
        raise ModelError("the model file has bytes that belong to no tensor")
    return tensors


def _check_tensors(config: Config, tensors: dict[str, NDArray[Any]]) -> None:
    """Raise ModelError unless these are the tensors of the model's networks, with numbers that are safe to run."""
    known: set[str] = set()
    for name, spec in config.networks.items():
        known |= Network.from_tensors(spec, tensors, name).tensors(name).keys()
    if config.context is not None:
        network = ContextNetwork.from_tensors(config.context, config.image.channels, config.parameters, tensors)
        known |= network.tensors().keys()
    if unknown := tensors.keys() - known:
        raise ModelError(f"the model's tensor {min(unknown)!a:.80} belongs to no network")


def _looks_like(data: bytes) -> str:
    """What a file is that is no model, in words: people mix up files, and browsers save pages of errors."""
    signs = {
        b"PK\x03\x04": "it is a zip file, such as a PyTorch checkpoint",
        b"\x80": "it is a pickle, such as an old PyTorch checkpoint",
        b"\x8fBBA": "it is an archive",
        b"\x89HDF": "it is an HDF5 file",
        b"<": "it is an HTML page",
        b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself",
    }
    for sign, words in signs.items():
        if data[:64].lstrip().startswith(sign):
            return words
    return "its header is cut short, or too large" if data else "it is empty"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _small(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number is too large")
    return int(digits)


_DECODE = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_small).decode
"""JSON without huge integers, and with no key twice."""
