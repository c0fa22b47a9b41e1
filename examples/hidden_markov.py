"""A hidden Markov model with its exact posterior: bits back costs -log2 p(x), and not more.

    python examples/hidden_markov.py        (--quick: fewer sequences)

The latents are the states, one for each symbol. The posterior of all states given all symbols has a form that can be
sampled, and so coded: backwards, each state given the one after it (forward filtering, backward sampling). The tables
of the model are integers, made once; the posterior is made of floats, the same on both sides in one environment.
"""

import argparse

import numpy as np
from chain import code

from bitsback.codecs import Autoregressive, BitsBack, Categorical, CdfTable, Uniform, quantise_pmf

STATES, SYMBOLS, LENGTH = 8, 32, 100
PRECISION = 24


def model(seed):
    """Tables of P(next state | state) and P(symbol | state), as frequencies of sum 2^24; the first state is uniform."""
    rng = np.random.default_rng(seed)
    steps, symbols = rng.dirichlet(np.full(STATES, 0.3), STATES), rng.dirichlet(np.full(SYMBOLS, 0.2), STATES)
    return quantise_pmf(steps, PRECISION), quantise_pmf(symbols, PRECISION)


def draw(steps, symbols, count, seed):
    """Sequences, uint8 (count, LENGTH)."""
    rng = np.random.default_rng(seed)
    state = rng.integers(0, STATES, count)
    out = np.empty((count, LENGTH), np.uint8)
    for t in range(LENGTH):
        out[:, t] = [rng.choice(SYMBOLS, p=p / p.sum()) for p in symbols[state]]
        state = np.array([rng.choice(STATES, p=p / p.sum()) for p in steps[state]])
    return out


def filtered(steps, symbols, x):
    """P(state t | x_0 .. x_t) for each t, and -log2 p(x)."""
    p, found, bits = np.full(STATES, 1 / STATES), [], 0.0
    for symbol in x:
        joint = p * symbols[:, symbol] / 2**PRECISION
        bits -= np.log2(joint.sum())
        found.append(joint / joint.sum())
        p = found[-1] @ steps / 2**PRECISION
    return found, bits


# --- the codec
def codec(steps, symbols):
    """Of a sequence, uint8 (LENGTH,). The latents are the states from the last to the first."""
    step_table, symbol_table = CdfTable.from_freqs(steps), CdfTable.from_freqs(symbols)

    def posterior(x):
        alpha, _ = filtered(steps, symbols, x)

        def state(t):
            return lambda after: Categorical.from_floats(alpha[t] * (steps[:, after[-1]] if after else 1), PRECISION)

        return Autoregressive([state(t) for t in reversed(range(len(x)))])

    class Prior:
        """The chain of states runs forwards, the latents backwards."""

        forwards = Autoregressive(
            [lambda before: Uniform(3)] + [lambda before: Categorical(step_table, before[-1])] * (LENGTH - 1)
        )

        def push(self, stack, z):
            self.forwards.push(stack, z[::-1])

        def pop(self, stack):
            return self.forwards.pop(stack)[::-1]

    return BitsBack(Prior(), lambda z: Categorical(symbol_table, np.array(z[::-1])), posterior)


# ---


def main(quick):
    steps, symbols = model(seed=0)
    x = draw(steps, symbols, 5 if quick else 50, seed=1)
    print("hidden Markov model, one environment only; -ELBO is -log2 p(x), as the posterior is exact")
    code(codec(steps, symbols), x, sum(filtered(steps, symbols, one)[1] for one in x))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
