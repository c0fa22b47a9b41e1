import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitsback.kinds import WITHOUT_WEIGHTS
from bitsback.models import Model, installed

SCRIPT = Path(__file__).with_name("measure_memory.py")


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux measures what a call takes")
@pytest.mark.parametrize("part", ["adaptive", "filtered", "context", "latent", "phases"])
def test_no_payload_takes_more_than_is_said(part: str) -> None:
    done = subprocess.run([sys.executable, SCRIPT, part], stdout=subprocess.PIPE, text=True, check=True)
    cases = [json.loads(line) for line in done.stdout.splitlines() if "warm-up" not in line]
    assert len(cases) > 10
    for case in cases:
        assert case["peak"] <= case["bound"], case
    # And what is said is no wild guess: the next power of ten, but for what is small, and tables hardly touched
    for case in cases:
        assert case["bound"] <= 10 * case["peak"] + (96 << 20), case


SHAPES = [(1, 1, 1, 1), (1, 1, 10**6, 1), (1, 10**6, 1, 1), (10**6, 1, 1, 1), (1, 1, 1, 10**6), (1, 4000, 3000, 3)]


@pytest.mark.parametrize("whole", SHAPES)
def test_it_stays_within_a_small_factor_of_the_images(whole: tuple[int, int, int, int]) -> None:
    for coder in WITHOUT_WEIGHTS.values():
        for dtype in (np.uint8, np.uint16):
            said = coder.memory(whole[0], whole[1:], dtype, 1000)
            assert int(np.prod(whole)) * np.dtype(dtype).itemsize <= said <= 50 * int(np.prod(whole)) + (64 << 20)


@pytest.mark.parametrize("path", installed(), ids=lambda path: path.stem)
def test_models_that_ship_take_little(path: Path) -> None:
    model = Model.load(path)
    channels = model.shape[2]
    for whole in SHAPES:
        shape = (model.shape[0] or whole[1], model.shape[1] or whole[2], channels)
        samples = whole[0] * shape[0] * shape[1] * channels
        assert samples <= model.memory(whole[0], shape, np.uint8, samples // 4) <= 3 * samples + (128 << 20)
        more = model.memory(whole[0], shape, np.uint8, samples // 4, threads=8)
        assert more <= 8 * model.memory(whole[0], shape, np.uint8, samples // 4)
