"""bitsback against constriction driven with the same model, one image at a time.

    python benchmarks/constriction_peer.py [--images N] [--kinds 8-bit binarised] [--data FOLDER]

constriction (https://bamler-lab.github.io/constriction/) codes symbols; a model is its user's business. Here a user
with our model does bits-back coding as its documentation suggests: one ``AnsCoder``, and for every image

* both networks with a batch of one, in onnxruntime on one thread, by the faster of the float32 and the int8 graph;
* latents on the integer grid that the decoder network reads, a 32nd of a prior standard deviation:
  ``QuantizedGaussian`` with a mean and a width each under the posterior, and a fixed one under the prior;
* binary pixels by ``Bernoulli`` with an array of probabilities;
* 8-bit pixels by ``Categorical`` with a matrix of 784 x 256 probabilities, computed by vectorised NumPy for the whole
  image. Three ways of it are measured, the plain one first:

  categorical   differences of the mixture's distribution function at 257 edges, in float32
  table         the same probabilities added up from a precomputed table of all 256 x 64 components (16 MiB)
  binary        no matrix: eight binary decisions a pixel, most significant bit first, each vectorised over the image

All options that make constriction faster are on (``perfect=False``). The stack begins with random words, which are
found again after decoding and are not counted. Speeds are raw bytes (one a pixel) by CPU seconds, all threads. The
images are the same on both sides; bitsback's own payload (`Model.encode`, `Model.decode`: what an archive's chunk
holds) is one self-contained chunk.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

import measure
from bitsback.codecs import quarter
from bitsback.models import Model
from bitsback.nets.engine import Runner, build
from bitsback.nets.layers import Network
from measure import Images

AnsCoder = constriction.stream.stack.AnsCoder
Floats = NDArray[np.float32]
Symbols = NDArray[np.int32]

HERE = Path(__file__).parent
MODELS = {"8-bit": HERE / "plain-vae-8-bit.bbm", "binarised": HERE.parent / "docs" / "lab" / "plain-vae.bbm"}
"""Variational autoencoders whose pixels are independent of each other given the latents: constriction codes those."""

SEED_WORDS = 64
ENGINES = ("int8", "float32")
SCALES = 64


@dataclass
class Parameters:
    """What each integer that the model's networks can put out, 0 to 255, means to its distributions."""

    posterior_means: Floats
    """In 32nds of a prior standard deviation."""
    posterior_widths: Floats
    probabilities: Floats
    """Of 1; for binary pixels."""
    means: Floats
    scales: NDArray[np.uint8]
    """0 to 63, for a scale of 2**((scale - 16) / 6) levels."""
    weights: Floats
    """Not normalised."""

    @classmethod
    def of(cls, model: Model) -> Parameters:
        """Ask the model: give it networks that put out every integer, and look at the codecs that it makes of them."""
        every = np.arange(256, dtype=np.uint8)
        config = model.config
        vae = copy.copy(model.trained)
        vae._encoder = lambda _: np.repeat(every[:, None], 2 * config.latents, 1)
        vae._decoder = lambda _: np.broadcast_to(every[:, None, None, None], (256, *config.decoder.output))
        posterior = vae.posterior(np.zeros((256, *model.shape), np.uint8))
        pixels = vae.likelihood(np.zeros((256, config.latents), np.uint16))
        unused = np.zeros(256, np.float32)
        probabilities = means = scales = weights = unused
        if model.levels == 2:
            probabilities = pixels.p[:, 0, 0, 0] / np.float32(1 << pixels.precision)
        else:
            means = (every.astype(np.float32) * pixels.step + pixels.zero) / np.float32(16)
            scales, weights = quarter(every), np.exp2((every.astype(np.float32) - 128) / 16)
        return cls(
            posterior.mean[:, 0].astype(np.float32) / np.float32(32),
            np.float32(32) * np.exp2((posterior.scale[:, 0].astype(np.float32) - 191) / 16),
            *(np.ascontiguousarray(a, np.float32) for a in (probabilities, means)),
            np.ascontiguousarray(scales, np.uint8),
            np.ascontiguousarray(weights, np.float32),
        )


class Pixels(Protocol):
    """p(x | z): 784 pixels, given the decoder network's output (1, parameters, 28, 28)."""

    def push(self, coder: Any, out: Images, x: Symbols) -> None: ...
    def pop(self, coder: Any, out: Images) -> Symbols: ...


class BinaryPixels:
    """One Bernoulli variable a pixel."""

    model = constriction.stream.model.Bernoulli(perfect=False)

    def __init__(self, parameters: Parameters) -> None:
        self.probabilities = parameters.probabilities

    def push(self, coder: Any, out: Images, x: Symbols) -> None:
        coder.encode_reverse(x, self.model, self.probabilities[out.reshape(-1)])

    def pop(self, coder: Any, out: Images) -> Symbols:
        return coder.decode(self.model, self.probabilities[out.reshape(-1)])


def logistic(t: Floats) -> Floats:
    """The logistic function: with tanh, the fastest way that NumPy has."""
    t *= np.float32(0.5)
    np.tanh(t, out=t)
    t += np.float32(1)
    t *= np.float32(0.5)
    return t


class MixturePixels:
    """What the three ways of coding 8-bit pixels share."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.inverse_scales = np.exp2((np.float32(16) - np.arange(SCALES, dtype=np.float32)) / np.float32(6))
        self.inverses = self.inverse_scales[parameters.scales]

    def mixture(self, out: Images) -> tuple[Floats, Floats, Floats]:
        """Means, inverse scales and normalised weights, (K, 784) each."""
        mean, scale, weight = out.reshape(3, -1, out.shape[2] * out.shape[3])
        weights = self.parameters.weights[weight]
        return self.parameters.means[mean], self.inverses[scale], weights / weights.sum(0)


class CategoricalPixels(MixturePixels):
    """A matrix of probabilities from the distribution function at all edges."""

    model = constriction.stream.model.Categorical(perfect=False)
    edges = np.arange(1, 256, dtype=np.float32) - np.float32(0.5)

    def matrix(self, out: Images) -> Floats:
        means, inverses, weights = self.mixture(out)
        cdf = np.zeros((means.shape[1], 257), np.float32)
        for mean, inverse, weight in zip(means, inverses, weights, strict=True):
            # one component at a time: the arrays stay in the cache
            t = self.edges - mean[:, None]
            t *= inverse[:, None]
            t = logistic(t)
            t *= weight[:, None]
            cdf[:, 1:-1] += t
        cdf[:, -1] = 1
        return np.maximum(cdf[:, 1:] - cdf[:, :-1], np.float32(0))

    def push(self, coder: Any, out: Images, x: Symbols) -> None:
        coder.encode_reverse(x, self.model, self.matrix(out))

    def pop(self, coder: Any, out: Images) -> Symbols:
        return coder.decode(self.model, self.matrix(out))


class TablePixels(CategoricalPixels):
    """A matrix of probabilities from a table of all components: (256 means x 64 scales, 256 levels)."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        t = (self.edges - parameters.means[:, None, None]) * self.inverse_scales[:, None]
        cdf = logistic(t).reshape(256 * SCALES, 255)
        self.components = np.diff(cdf, axis=1, prepend=np.float32(0), append=np.float32(1))

    def matrix(self, out: Images) -> Floats:
        mean, scale, weight = out.reshape(3, -1, out.shape[2] * out.shape[3])
        rows = mean.astype(np.intp) * SCALES + self.parameters.scales[scale]
        weights = self.parameters.weights[weight]
        weights /= weights.sum(0)
        result = self.components[rows[0]]
        result *= weights[0, :, None]
        for row, share in zip(rows[1:], weights[1:], strict=True):
            term = self.components[row]
            term *= share[:, None]
            result += term
        return result


class BitPixels(MixturePixels):
    """Eight binary decisions a pixel; each asks the distribution function for one more edge of every pixel."""

    model = constriction.stream.model.Bernoulli(perfect=False)

    def _cdf(self, edge: Symbols, means: Floats, inverses: Floats, weights: Floats) -> Floats:
        t = edge.astype(np.float32) - np.float32(0.5) - means
        t *= inverses
        t = logistic(t)
        t *= weights
        return np.where(edge == 0, np.float32(0), np.where(edge == 256, np.float32(1), t.sum(0)))

    def _step(self, edges: list[Any], middle: Floats) -> Floats:
        """P(upper half)."""
        _, low, high = edges
        return np.clip((high - middle) / np.maximum(high - low, np.float32(1e-12)), np.float32(0), np.float32(1))

    def push(self, coder: Any, out: Images, x: Symbols) -> None:
        steps = []
        parameters = self.mixture(out)
        edges = self._start(x.size)
        for shift in range(7, -1, -1):
            middle = self._cdf(edges[0] + (1 << shift), *parameters)
            bits = (x >> shift) & 1
            steps.append((bits, self._step(edges, middle)))
            edges = self._narrow(edges, middle, bits, shift)
        for bits, ones in reversed(steps):
            coder.encode_reverse(bits, self.model, ones)

    def pop(self, coder: Any, out: Images) -> Symbols:
        parameters = self.mixture(out)
        edges = self._start(parameters[0].shape[1])
        for shift in range(7, -1, -1):
            middle = self._cdf(edges[0] + (1 << shift), *parameters)
            bits = coder.decode(self.model, self._step(edges, middle))
            edges = self._narrow(edges, middle, bits, shift)
        return edges[0]

    def _start(self, n: int) -> list[Any]:
        return [np.zeros(n, np.int32), np.zeros(n, np.float32), np.ones(n, np.float32)]

    def _narrow(self, edges: list[Any], middle: Floats, bits: Symbols, shift: int) -> list[Any]:
        value, low, high = edges
        upper = bits == 1
        return [value + (bits << shift), np.where(upper, middle, low), np.where(upper, high, middle)]


@dataclass
class Peer:
    """A latent-variable model on constriction's coder."""

    encoder: Runner
    decoder: Runner
    parameters: Parameters
    latents: int
    binary: bool
    pixels: Pixels

    posterior_model = constriction.stream.model.QuantizedGaussian(-128, 127)
    prior_model = constriction.stream.model.QuantizedGaussian(-128, 127, 0.0, 32.0)

    def encode(self, images: Images, seed: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """All images, last to first, on one coder."""
        coder = AnsCoder(seed)
        for image in images[::-1]:
            z = coder.decode(self.posterior_model, *self._posterior(image))
            self.pixels.push(coder, self._likelihood(z), image.reshape(-1).astype(np.int32))
            coder.encode_reverse(z, self.prior_model)
        return coder.get_compressed()

    def decode(self, words: NDArray[np.uint32], count: int, shape: tuple[int, int]) -> tuple[Images, Any]:
        """The images, uint8 (count, height, width), and the words that were there first."""
        coder = AnsCoder(words)
        images = np.empty((count, *shape), np.uint8)
        for image in images:
            z = coder.decode(self.prior_model, self.latents)
            image[:] = self.pixels.pop(coder, self._likelihood(z)).reshape(shape)
            coder.encode_reverse(z, self.posterior_model, *self._posterior(image))
        return images, coder.get_compressed()

    def _posterior(self, image: Images) -> tuple[Floats, Floats]:
        out = self.encoder((image * np.uint8(128) if self.binary else image)[None, None])[0]
        mean, width = out[: self.latents], out[self.latents :]
        return self.parameters.posterior_means[mean], self.parameters.posterior_widths[width]

    def _likelihood(self, z: Symbols) -> Images:
        return self.decoder((z + 128).astype(np.uint8)[None])


def faster(networks: list[Network], repeats: int) -> tuple[str, list[Runner], dict[str, float]]:
    """The engine that is the faster one for a batch of one; its runners; microseconds an image of each."""
    inputs = [np.full((1, *network.spec.input), 128, np.uint8) for network in networks]
    found: dict[str, tuple[float, list[Runner]]] = {}
    for engine in ENGINES:
        runs = [build(network, engine) for network in networks]

        def both(runs: list[Runner] = runs) -> None:
            for _ in range(200):
                for run, x in zip(runs, inputs, strict=True):
                    run(x)

        both()
        found[engine] = measure.cpu(both, repeats)[1] / 200 * 1e6, runs
    best = min(found, key=lambda engine: found[engine][0])
    return best, found[best][1], {engine: round(time, 1) for engine, (time, _) in found.items()}


def timed(encode: Callable[[], Any], decode: Callable[[Any], Any], repeats: int) -> tuple[Any, Any, float, float]:
    """Coded, decoded, and CPU seconds of either."""
    coded, encoding = measure.cpu(encode, repeats, 120)
    decoded, decoding = measure.cpu(lambda: decode(coded), repeats, 120)
    return coded, decoded, encoding, decoding


def compare(kind: str, x: Images, repeats: int) -> dict[str, Any]:
    """All figures of one kind of digits."""
    model = Model.load(MODELS[kind])
    networks = [Network.from_tensors(spec, model.tensors, name) for name, spec in model.config.networks.items()]
    engine, (encoder, decoder), batch_of_one = faster(networks, repeats)
    binary = model.levels == 2
    parameters = Parameters.of(model)
    ways: dict[str, Callable[[Parameters], Pixels]] = {"Bernoulli": BinaryPixels}
    if not binary:
        ways = {"categorical": CategoricalPixels, "table": TablePixels, "binary": BitPixels}
    elbo = float(model.elbo_bits(x[..., None]).sum())
    result: dict[str, Any] = {
        "images": len(x),
        "model": model.id,
        "elbo": elbo / x.size,
        "microseconds_of_networks_batch_1": batch_of_one,
        "constriction_engine": engine,
    }

    y = x[..., None]
    model.decode(model.encode(y[:100]), 100)  # compile and load
    payload, again, encoding, decoding = timed(
        lambda: model.encode(y), lambda coded: model.decode(coded, len(y)), repeats
    )
    if not np.array_equal(again, y):
        raise SystemExit("bitsback did not give the same images")
    megabytes = x.size / 1e6
    ours = {"rate": 8 * len(payload) / x.size, "encode": megabytes / encoding, "decode": megabytes / decoding}
    result["bitsback"] = ours

    seed = np.random.default_rng(1).integers(1, 1 << 32, SEED_WORDS, np.uint32)
    result["constriction"] = {}
    for name, pixels in ways.items():
        peer = Peer(encoder, decoder, parameters, model.config.latents, binary, pixels(parameters))
        peer.encode(x[:20], seed)
        words, (again, rest), encoding, decoding = timed(
            lambda peer=peer: peer.encode(x, seed),
            lambda coded, peer=peer: peer.decode(coded, len(x), x.shape[1:]),
            repeats,
        )
        if not np.array_equal(again, x) or not np.array_equal(rest, seed):
            raise SystemExit(f"constriction ({name}) did not give the same images")
        rate = 32 * (words.size - seed.size) / x.size
        theirs = {"rate": rate, "encode": megabytes / encoding, "decode": megabytes / decoding}
        ratios = {f"{way}_ratio": ours[way] / theirs[way] for way in ("encode", "decode")}
        result["constriction"][name] = theirs | ratios
    return result


def report(kind: str, result: dict[str, Any]) -> str:
    """Markdown."""
    ours = result["bitsback"]
    rows = [["bitsback", f"{ours['rate']:.4f}", f"{ours['encode']:.2f}", f"{ours['decode']:.2f}", "1", "1"]]
    for name, theirs in result["constriction"].items():
        speeds = f"{theirs['encode']:.3f}", f"{theirs['decode']:.3f}"
        ratios = f"{theirs['encode_ratio']:.1f}", f"{theirs['decode_ratio']:.1f}"
        rows.append([f"constriction, {name}", f"{theirs['rate']:.4f}", *speeds, *ratios])
    times = ", ".join(f"{engine} {time:.0f}" for engine, time in result["microseconds_of_networks_batch_1"].items())
    header = ["coder", "bits/dim", "encode MB/s", "decode MB/s", "bitsback faster: encode", "decode"]
    return (
        f"## {kind}, {result['images']} digits, -ELBO {result['elbo']:.4f} bits/dim\n\n"
        f"Both networks, batch of one, microseconds: {times}; constriction has {result['constriction_engine']}.\n\n"
        + measure.table(header, rows)
    )


def main() -> None:
    """Measure, print, write."""
    parser = measure.arguments("bitsback against constriction with the same model", "constriction_peer.json")
    parser.add_argument("--images", type=int, default=1000, help="how many of the test digits (default: 1000)")
    options = parser.parse_args()
    about = measure.machine()
    print(f"{measure.line(about)}\n", flush=True)
    results: dict[str, Any] = {"machine": about, "kinds": {}}
    for kind in options.kinds:
        result = compare(kind, measure.digits(options.data, kind, options.images), options.repeats)
        results["kinds"][kind] = result
        print(report(kind, result), end="\n\n", flush=True)
    measure.write(options.out, results)
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
