"""How does coding with a VAE come out lossless? One digit, followed through the stack symbol by symbol and back.

    python docs/lab/lossless.py            (--quick: a smaller run, which writes nothing)

The model is a plain VAE, `plain-vae.bbm`, which recipes/vae.py trains: 20 latents of 8 bits, and one
probability for each pixel. All of it is
integer arithmetic, so "the same" below means the same to the last bit.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from page import BLACK, BLUE, PURPLE, RED, arguments, digits, table, write

from bitsback.ans import Stack
from bitsback.codecs import Bernoulli, PosteriorBuckets, Uniform
from bitsback.codecs.testing import random_stack
from bitsback.errors import EmptyStackError
from bitsback.models import Model

PLAIN_VAE = Path(__file__).with_name("plain-vae.bbm")


# The three distributions, cut into codecs of single symbols
def prior(vae):
    return [Uniform(vae.config.latent_bits)] * vae.config.latents


def likelihood(vae, z):
    pixels = vae.likelihood(np.array(z)[None])
    return [Bernoulli(p, pixels.precision) for p in pixels.p.reshape(-1)]


def posterior(vae, x):
    q = vae.posterior(np.array(x).reshape(1, 28, 28, 1))
    return [PosteriorBuckets(m, s, vae.config.latent_bits) for m, s in zip(q.mean[0], q.scale[0], strict=True)]


def push(stack, codecs, symbols, states):
    """Push one symbol after the other, beginning with the last as a whole array does; note the stack after each."""
    for codec, symbol in zip(reversed(codecs), reversed(symbols), strict=True):
        codec.push(stack, symbol)
        states.append(stack.copy())


def pop(stack, codecs, states):
    """Pop a symbol from each codec; note the stack after each."""
    symbols = []
    for codec in codecs:
        symbols.append(codec.pop(stack))
        states.append(stack.copy())
    return symbols


def encode(vae, x, stack):
    """Bits back in single symbols: the latents that were used, and all states of the stack."""
    states = [stack.copy()]
    z = pop(stack, posterior(vae, x), states)
    push(stack, likelihood(vae, z), list(x.reshape(-1)), states)
    push(stack, prior(vae), z, states)
    return z, states


def decode(vae, stack, z_error=0, p_error=0):
    """The same backwards: the pixels and all states. The errors are what could go wrong: they change one latent's
    bucket on its way to the decoder network, and the first pixel's probability."""
    states = [stack.copy()]
    z = pop(stack, prior(vae), states)
    pixels = likelihood(vae, np.array(z) ^ z_error)
    pixels[0] = Bernoulli(int(pixels[0].p) + p_error, pixels[0].precision)
    x = pop(stack, pixels, states)
    push(stack, posterior(vae, x), z, states)
    return np.array(x).reshape(28, 28, 1), states


def damage(vae, images, one):
    """Decode a chain of images with one mistake in the first to come out, of several kinds.

    Rows of a table: how many of its pixels are wrong (the median of some trials), and of the other images.
    """
    chain = random_stack(40)
    for image in images:
        vae.codec(1).push(chain, image[None])

    def trial(flip=None, **errors):
        data = bytearray(chain.to_bytes())
        if flip is not None:
            data[flip // 8] ^= 1 << flip % 8
        stack, lost = Stack.from_bytes(bytes(data)), 0
        x, _ = decode(vae, stack, **errors)
        for image in images[-2::-1]:
            try:
                lost += not np.array_equal(vae.codec(1).pop(stack)[0], image)
            except EmptyStackError:
                lost += 1
        return int((x != images[-1]).sum()), lost

    latents = 4 * np.eye(vae.config.latents, dtype=np.uint16)
    kinds = {
        "nothing": [trial()],
        "one latent by 4 of its 256 buckets, as the decoder network sees it": [trial(z_error=e) for e in latents[:one]],
        "the first pixel's probability, by one part in 2^24": [trial(p_error=e) for e in (-1, 1)],
        "one bit of the message, in the head of the stack": [trial(flip=bit) for bit in range(min(one, 32))],
    }
    return [(kind, *np.median(trials, axis=0)) for kind, trials in kinds.items()]


def heights(states, parts):
    """Figure: the height of the stack after every symbol, each step drawn equally wide.

    Decoding goes through the same states in reverse, so its picture is the mirror image.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.8), sharey=True)
    edges = np.cumsum([0, *parts])
    start, low, middle, end = (states[edge].bits() for edge in edges)
    shown = np.r_[
        0 : edges[1], edges[1] : edges[2] : 8, edges[2] : edges[3] + 1
    ]  # every eighth pixel is enough to draw
    bits = np.array([states[i].bits() for i in shown])
    place = np.interp(shown, edges, range(4))
    base = np.where(place <= 1, bits, low)
    pixels = np.where(place <= 1, bits, np.minimum(bits, middle))
    for axis, at, title, names, signs in (
        (axes[0], place, "encode", ("pop z, q(z | x)", "push x, p(x | z)", "push z, p(z)"), 1),
        (axes[1], 3 - place, "decode", ("push z, q(z | x)", "pop x, p(x | z)", "pop z, p(z)"), -1),
    ):
        axis.fill_between(at, 0, base, color="0.75", lw=0, label="what was there before")
        axis.fill_between(at, bits, start, where=place <= 1, fc="none", ec=PURPLE, hatch="////", lw=0, label="borrowed")
        axis.fill_between(at, base, pixels, color=BLUE, lw=0, label="pixels")
        axis.fill_between(at, pixels, bits, color=RED, lw=0, label="latents")
        axis.plot(at, bits, color=BLACK, lw=1.5)
        for step, (name, change) in enumerate(zip(names, signs * np.diff([start, low, middle, end]), strict=True)):
            middle_of_step = step + 0.5 if signs == 1 else 2.5 - step
            axis.text(middle_of_step, end * 1.05, f"{name}\n{change:+.1f} bits", ha="center", fontsize=9)
        axis.set(title=title, xticks=[], xlim=(0, 3), ylim=(0, end * 1.22))
        axis.grid(visible=False)
        axis.vlines([1, 2], 0, end * 1.22, color="0.4", lw=0.8, ls=":")
        axis.set_xlabel("symbols, in the order in which they are coded", fontsize=9)
    axes[0].set_ylabel("bits on the stack")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def pictures(vae, x, z):
    """Figure: the digit, what the decoder network expects of it, and what each pixel costs."""
    codec = vae.likelihood(np.array(z)[None])
    panels = (
        ("x", x[..., 0], "gray_r", 1),
        ("P(pixel = 1 | z)", codec.p[0, ..., 0] / (1 << codec.precision), "gray_r", 1),
        ("bits of each pixel", codec.bits(x[None])[0, ..., 0], "Reds", None),
    )
    figure, axes = plt.subplots(1, 3, figsize=(7, 2.4))
    for axis, (title, image, colours, top) in zip(axes, panels, strict=True):
        shown = axis.imshow(image, cmap=colours, vmin=0, vmax=top)
        axis.set(title=title, xticks=[], yticks=[])
        axis.grid(visible=False)
    figure.colorbar(shown, ax=axes[2])
    return figure


def main(mode):
    quick = mode == "quick"
    vae = Model.load(PLAIN_VAE).trained
    images = digits(4 if quick else 20, seed=3)[..., None]
    x = images[3]

    z, states = encode(vae, x, random_stack(10))
    decoded, back = decode(vae, states[-1].copy())
    assert np.array_equal(decoded, x) and back[::-1] == states
    whole = states[0].copy()
    vae.codec(1).push(whole, x[None])  # arrays at a time, as the codec does it, to the same effect
    assert whole == states[-1]

    parts = [len(z), x.size, len(z)]
    edges = np.cumsum([0, *parts])
    steps = ("1. pop z under q(z &#124; x)", "2. push x under p(x &#124; z)", "3. push z under p(z)")
    rows = []
    for step, count, i, j in zip(steps, parts, edges, edges[1:], strict=False):
        before, after = states[i].bits(), states[j].bits()
        rows.append([step, f"{count}", f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"])
    before, after = states[0].bits(), states[-1].bits()
    rows.append(["x in all", "", f"{before:.2f}", f"{after:.2f}", f"**{after - before:+.2f}**"])
    harm = [[kind, f"{wrong:.0f}", f"{lost:.0f}"] for kind, wrong, lost in damage(vae, images, 2 if quick else 40)]
    results = [
        table(["encoding", "symbols", "stack before, bits", "after", "change"], rows),
        f"The latents that the stack chose: {', '.join(str(k) for k in z)}. The stack went through {len(states)} "
        f"states, first and last included; decoding took it through the same {len(states)} in reverse, each equal to "
        "the last bit.",
        table(
            ["what differs, at one place", "wrong pixels of 784", f"wrong digits of the {len(images) - 1} below"], harm
        ),
        "Medians over the places where it can differ.",
    ]
    figures = {"lossless": heights(states, parts), "lossless-pixels": pictures(vae, x, z)}
    write("lossless", "\n\n".join(results), figures, mode, 0)


if __name__ == "__main__":
    main(arguments())
