from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitsback.codecs import LogisticMixture
from bitsback.models import Model
from bitsback.nets.engine import build
from bitsback.nets.layers import Network
from helpers import tiny_model

pytest.importorskip("constriction", reason="the extra [bench] is not installed")

WAYS = {"binarised": ["BinaryPixels"], "8-bit": ["CategoricalPixels", "TablePixels", "BitPixels"]}


def peer_of(model: Model, pixels: str) -> Any:
    script = import_module("constriction_peer")
    parts = ("encoder", "decoder")
    networks = [Network.from_tensors(getattr(model.config, part), model.tensors, part) for part in parts]
    parameters = script.Parameters.of(model)
    runs = [build(network, "float32") for network in networks]
    binary = model.levels == 2
    return script.Peer(*runs, parameters, model.config.latents, binary, getattr(script, pixels)(parameters))


def sample_digits(levels: int) -> np.ndarray:
    files = sorted((Path(__file__).parents[2] / "examples" / "digits").glob("*.png"))[:50]
    x = np.stack([np.asarray(Image.open(file).convert("L")) for file in files])
    return (x > 127).astype(np.uint8) if levels == 2 else x


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, ways in WAYS.items() for way in ways])
def test_the_peer_codes_with_the_same_model(name: str, way: str) -> None:
    model = Model.load(import_module("constriction_peer").MODELS[name])
    images = sample_digits(model.levels)
    peer = peer_of(model, way)
    seed = np.arange(1, 65, dtype=np.uint32)
    words = peer.encode(images, seed)
    decoded, rest = peer.decode(words, len(images), images.shape[1:])
    assert np.array_equal(decoded, images)
    assert np.array_equal(rest, seed)
    assert 32 * (words.size - seed.size) == pytest.approx(model.elbo_bits(images[..., None]).sum(), rel=0.1)


@pytest.mark.parametrize("way", ["CategoricalPixels", "TablePixels"])
def test_matrices_agree_with_the_integer_mixture(way: str) -> None:
    script = import_module("constriction_peer")
    parameters = script.Parameters.of(tiny_model(256))
    out = np.random.default_rng(0).integers(0, 256, (1, 6, 4, 5), np.uint8)
    mean, scale, weight = out.reshape(3, 2, 20).transpose(0, 2, 1)
    mixture = LogisticMixture((16 * parameters.means).astype(np.int32)[mean], parameters.scales[scale], weight)
    expected = np.stack([2.0 ** -mixture.bits(np.full(20, v)) for v in range(256)], 1)
    assert np.allclose(getattr(script, way)(parameters).matrix(out), expected, rtol=1e-3, atol=2e-6)
