"""Text of any length under an LSTM: a model with a state, run once over the bytes, whichever way they go.

    python examples/byte_lstm.py            (--quick: a smaller run)

`Generated` keeps the state: its generator yields the codec of the next byte, is sent the byte, and ends after the byte
0. So the time is in proportion to the length. Floats: what float_vae.py says holds here too; encoder and decoder both
go byte by byte, so that they see the same numbers.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bitsback.ans import Stack
from bitsback.codecs import Categorical, Generated

WIDTH = 64


class Reader(nn.Module):
    """From bytes to the logits of the next."""

    def __init__(self):
        super().__init__()
        self.letters = nn.Embedding(256, 32)
        self.cell = nn.LSTMCell(32, WIDTH)
        self.out = nn.Linear(WIDTH, 256)

    def forward(self, byte, state=None):
        """Logits (n, 256) after ``byte`` (n,), and the state to go on with."""
        state = self.cell(self.letters(byte), state)
        return self.out(state[0]), state


def learn(model, text, steps):
    """Adam on random pieces of 64 bytes, 16 at a time."""
    data = torch.from_numpy(np.frombuffer(text, np.uint8).astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(steps):
        pieces = torch.stack([data[i : i + 65] for i in torch.randint(len(data) - 65, (16,))])
        state, loss = None, 0.0
        for t in range(64):
            logits, state = model(pieces[:, t], state)
            loss = loss + F.cross_entropy(logits, pieces[:, t + 1])
        optimizer.zero_grad()
        (loss / 64).backward()
        optimizer.step()


# --- the codec
def codec(model):
    """Of a sequence of bytes that ends with the byte 0, and has no other."""

    def reading():
        byte, state = torch.zeros(1, dtype=torch.int64), None
        while True:
            with torch.no_grad():
                logits, state = model(byte, state)
            byte[0] = int((yield Categorical.from_floats(torch.softmax(logits[0].double(), 0), 20)))
            if not byte[0]:
                return

    return Generated(reading)


# ---


def main(quick):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    text = b"\n".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    model = Reader()
    learn(model, text[:-4000], steps=4 if quick else 600)
    print("LSTM of bytes, one environment only")
    for length in (50, 200) if quick else (200, 2000, 20_000):
        message = text[-length:] if length <= 4000 else text[:length]
        x, stack = [*message, 0], Stack()
        start = time.process_time()
        codec(model).push(stack, np.array(x, np.uint8))
        between = time.process_time()
        back = codec(model).pop(stack)
        speeds = length / (between - start), length / (time.process_time() - between)
        if [int(byte) for byte in back] != x or not stack.is_initial():
            raise SystemExit("the text was not restored")
        stack = Stack()
        codec(model).push(stack, np.array(x, np.uint8))
        print(f"  {length:6} bytes: {stack.bits() / length:.3f} bits each, restored; ", end="")
        print(f"{speeds[0]:.0f} bytes/s in, {speeds[1]:.0f} out")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
