import json
import math

import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.training.card import card
from bitsback.training.loop import Check, Run, Schedule
from helpers import tiny_model


def test_a_card_says_what_was_done() -> None:
    model = tiny_model(2)
    log = [Check(100, 6.0, 0.9, 0.51234567, (0.1, 0.4)), Check(200, 12.0, 0.4, 0.5, (0.2, 0.3))]
    run = Run(Schedule(400, batch=32, seed=7), 200, 12.0, 200, 0.5, log, "it was stopped")
    made = card(model, run, "8x12 grey", {"name": "noise", "images": 9}, free=0.1, device="cpu")
    assert json.loads(json.dumps(made)) == made
    assert (made["sha256"], made["bytes"], made["images"]) == (model.id, len(model.data), "8x12 grey")
    training = made["training"]
    assert (training["steps"], training["done"], training["best"], training["seed"]) == (400, 200, 200, 7)
    assert (training["ended"], training["minutes"], training["free"]) == ("it was stopped", 0.2, 0.1)
    assert made["held_out_bits_per_dim"] == 0.5
    assert made["log"][0] == [100, 6.0, 0.9, 0.51235, 0.1, 0.4]
    assert set(made["macs"]) == {"encoder", "decoder"}


def test_a_run_without_a_check_has_no_score() -> None:
    made = card(tiny_model(2), Run(Schedule(4)), "grey", {})
    assert math.isnan(made["held_out_bits_per_dim"]) and made["log"] == []
