"""The model file: safetensors, whose metadata holds the configuration as JSON. Its identity is its SHA-256.

Opening one runs no code: the kinds of model are a closed list, every field is known, sizes are bounded, and the
tensors are checked by :class:`bitsback.nets.layers.Network`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bitsback.errors import LimitError, ModelError, UnsupportedVersionError
from bitsback.nets.context import ContextSpec
from bitsback.nets.layers import NetSpec

VERSIONS = (1, 2)
MAX_FILE = 256 << 20
MAX_HEADER = 1 << 20
METADATA_KEY = "bitsback"
SUFFIX = ".bbm"

_TYPES = {"I8": np.int8, "I16": np.int16, "U8": np.uint8, "I32": np.int32}


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


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Everything about a model but its tensors; the normative description is in docs/format.md.

    A model of kind "vae" has latents, an encoder and a decoder; one of kind "context" has none. Either may have a
    context network (a "context" model must), and is then of version 2.
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

    def check(self) -> None:
        """Raise ModelError where the parts do not fit each other."""
        image, latent = self.image, self.kind == "vae"
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


# Made here, once: msgspec puts a type's description together at its first use, which is not safe in two threads
_DECODER = msgspec.json.Decoder(Config)


def dump(config: Config, tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Serialise; the same model always gives the same bytes."""
    from safetensors.numpy import save

    text = msgspec.json.encode(config, order="deterministic").decode()
    return save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}, {METADATA_KEY: text})


def parse(data: bytes) -> tuple[Config, dict[str, NDArray[Any]]]:
    """Check and take apart a model file.

    Raises:
        ModelError: not a well-formed model file. LimitError: too large. UnsupportedVersionError: a newer version.
    """
    if len(data) > MAX_FILE:
        raise LimitError(f"a model file of {len(data)} bytes is beyond the limit of {MAX_FILE}")
    if len(data) < 8:
        raise ModelError("not a model file: too short")
    (size,) = struct.unpack_from("<Q", data)
    if size > min(MAX_HEADER, len(data) - 8):
        raise ModelError("not a model file: its header does not fit")
    try:
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_unique)
        metadata = header.pop("__metadata__")
        text = metadata[METADATA_KEY]
        version = json.loads(text)["version"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError("not a bitsback model file") from None
    if version not in VERSIONS:
        raise UnsupportedVersionError(
            f"the model file is of version {version}; this bitsback reads versions {', '.join(map(str, VERSIONS))}"
        )
    tensors = _tensors(header, memoryview(data)[8 + size :])
    try:
        config = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ModelError(f"the model's configuration is not valid: {error}") from None
    config.check()
    return config, tensors


def _tensors(header: dict[str, Any], body: memoryview) -> dict[str, NDArray[Any]]:
    """The tensors, which must cover the body without gaps or overlaps."""
    tensors: dict[str, NDArray[Any]] = {}
    spans = []
    for name, entry in header.items():
        try:
            kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            dtype = np.dtype(_TYPES[kind])
            whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
            count = 1
            for axis in shape:
                count *= axis
            if not whole or len(shape) > 4 or end > len(body) or end - begin != count * dtype.itemsize:
                raise ValueError
            tensors[name] = np.frombuffer(body[begin:end], dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        except (KeyError, TypeError, ValueError):
            raise ModelError(f"the model's tensor {name!r:.80} is not valid") from None
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ModelError("the model's tensors overlap or leave gaps")
        position = end
    if position != len(body):
        raise ModelError("the model file has bytes that belong to no tensor")
    return tensors


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result
