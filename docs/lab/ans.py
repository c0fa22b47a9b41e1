"""What is ANS, and why not arithmetic coding? Ten lines of ANS against the entropy; then a stack against queues.

    python docs/lab/ans.py            (--quick: a smaller run, which writes nothing)

The range coder is constriction's (``pip install ".[bench]"``); without it, its rows are left out. Everything that is
measured is decoded and compared.
"""

import matplotlib.pyplot as plt
import numpy as np
from bits_back import PLAIN_VAE, Grid, best_grids, chain, naive
from page import BLACK, BLUE, ORANGE, RED, arguments, digits, table, write
from queues import Bits, Words, blocks, constriction, one_queue

from bitsback.ans import Stack
from bitsback.codecs import Categorical, TwoPart, quantise_pmf
from bitsback.codecs.testing import random_stack
from bitsback.models import Model


# --- ANS: the message is one integer
def push(message, start, freq, precision):
    return (message // freq << precision) + start + message % freq


def pop(message, starts, precision):
    slot = message & (1 << precision) - 1
    symbol = int(np.searchsorted(starts, slot, "right")) - 1
    start, stop = int(starts[symbol]), int(starts[symbol + 1])
    return symbol, (stop - start) * (message >> precision) + slot - start


def rates(precisions, count):
    """The entropy of a source in bits a symbol, and for each precision what is paid beyond it: a symbol by rounding the
    probabilities, once by the ten lines, and a symbol by the library's stack with its states of 64 bits."""
    p = 0.5 ** np.linspace(1, 9, 16)
    p /= p.sum()
    symbols = np.random.default_rng(0).permutation(np.repeat(np.arange(16), np.rint(p * count).astype(int)))
    few, rows = symbols[:2000], []
    for precision in precisions:
        freqs = quantise_pmf(p, precision)
        starts = np.concatenate([[0], np.cumsum(freqs, dtype=np.int64)])
        bits = precision - np.log2(freqs)
        message = 1
        for symbol in few:
            message = push(message, int(starts[symbol]), int(freqs[symbol]), precision)
        once = message.bit_length() - bits[few].sum()
        for symbol in few[::-1]:
            found, message = pop(message, starts, precision)
            assert found == symbol
        assert message == 1
        stack, codec = Stack(), Categorical([starts], np.zeros(len(symbols), int), precision)
        codec.push(stack, symbols)
        states = stack.bits() / len(symbols) - bits[symbols].mean()
        assert np.array_equal(codec.pop(stack), symbols) and stack.is_initial()
        rows.append((precision, float(p @ (np.log2(p) + bits)), float(once), states))
    return -float(p @ np.log2(p)), rows


def draw_rates(entropy, rows):
    """Figure: bits beyond the entropy over the precision."""
    precision, rounding, _, states = np.array(rows).T
    figure, axis = plt.subplots(figsize=(7, 3.2))
    axis.semilogy(precision, rounding, "o-", color=BLUE, ms=4, label="rounded probabilities")
    seen = states > 1e-9  # below this, float64 cannot tell
    axis.semilogy(precision[seen], states[seen], "s-", color=RED, ms=4, label="states of 64 bits")
    axis.set(xlabel="precision: bits that a symbol's interval is resolved in", ylabel="bits a symbol, too many")
    axis.set_xticks(range(6, 25, 3))
    axis.set_title(f"a source of {entropy:.2f} bits a symbol")
    axis.legend()
    return figure


def draw_chains(sizes, elbo):
    """Figure: bits a digit of every way, and the model's bound."""
    figure, axis = plt.subplots(figsize=(7, 3))
    names, values = list(sizes)[::-1], list(sizes.values())[::-1]
    bars = axis.barh(names, values, color=[BLUE if "stack" in name else ORANGE for name in names], height=0.65)
    axis.bar_label(bars, [f"{value:.1f}" for value in values], padding=3, fontsize=9)
    axis.axvline(elbo, color=BLACK, ls="--", lw=1.2)
    axis.text(elbo + 3, len(names) - 0.45, "−ELBO", fontsize=9)
    axis.set(xlabel="bits a digit", xlim=(0, 1.12 * max(values)))
    axis.grid(axis="y", visible=False)
    return figure


def main(mode):
    quick = mode == "quick"
    entropy, rows = rates(range(8, 25, 8) if quick else range(5, 25), 2000 if quick else 100_000)

    model = Model.load(PLAIN_VAE)
    vae, images = model.trained, digits(4 if quick else 200, seed=6)[..., None]
    n, finest = len(images), vae.config.latent_bits
    grid = Grid(best_grids(vae, digits(4 if quick else 50, seed=5)[..., None])[2], finest)
    elbo = float(np.mean([model.elbo_bits(images, seed).mean() for seed in range(1 if quick else 10)]))

    def best(x):
        return vae.posterior(x).modes()

    start = TwoPart(vae.prior(1), vae.likelihood, best)
    stack = chain(vae.codec(1), images, start)
    once = (stack[0] - model.elbo_bits(images[:1])[0]) / n
    sizes = {"stack, bits back": stack[-1]}
    sizes["exact queues, bits back by blocks"] = blocks(vae, images, Bits)
    if constriction:
        noise = random_stack(12 * n)
        sizes["range coder, bits back by blocks"] = blocks(vae, images, Words)
        sizes["range coder, naive"] = one_queue(vae, images, lambda x: grid.snap(best(x)), grid)
        fine = Grid([finest] * len(grid.bits), finest)
        sizes["range coder, borrowed bits wasted"] = one_queue(vae, images, lambda x: vae.posterior(x).pop(noise), fine)
    sizes["stack, naive"] = chain(naive(vae, grid.bits), images)[-1]
    sizes = {name: bits / n for name, bits in sizes.items()}

    results = [
        table(
            ["precision, bits", "rounded probabilities", "states of 64 bits", "the ten lines, once"],
            [
                [f"{r}", f"{a:.1e}", f"{c:.1e}" if c > 1e-9 else "under 1e-9", f"{b:+.1f}"]
                for r, a, b, c in rows
                if r % 4 == 0
            ],
        ),
        f"Bits a symbol beyond the entropy, {entropy:.4f}; the last column is bits for the whole message.",
        table(
            ["way", "bits a digit", "bits/dim", "beyond −ELBO"],
            [[name, f"{v:.1f}", f"{v / 784:.4f}", f"{v - elbo:+.1f}"] for name, v in sizes.items()],
        ),
        f"{n} digits, −ELBO {elbo:.1f} bits a digit (ten draws of the latents). In chains with bits back the "
        f"first digit pays its latents in full: {once:.1f} bits a digit, of these {n}. Every message "
        "was decoded and compared.",
    ]
    write(
        "ans", "\n\n".join(results), {"ans-rate": draw_rates(entropy, rows), "ans": draw_chains(sizes, elbo)}, mode, 0
    )


if __name__ == "__main__":
    main(arguments())
