from importlib import import_module

import numpy as np
import pytest

from helpers import drawn_images, tiny_model

pytest.importorskip("imagecodecs", reason="the extra [bench] is not installed")


@pytest.mark.parametrize("binary", [False, True])
def test_every_codec_restores_its_images(binary: bool) -> None:
    script = import_module("digits")
    x = drawn_images(tiny_model(2 if binary else 256), 12)[..., 0]
    for contender in script.contenders(binary):
        row = script.measured(contender, x, repeats=1)
        assert row.images == 12
        assert row.bits_per_dim == 8 * row.bytes / x.size


def test_a_codec_that_does_not_restore_its_images_stops_the_run() -> None:
    script = import_module("digits")
    codec = script.Codec("broken", lambda image: image.tobytes(), lambda data: np.zeros(96, np.uint8))
    with pytest.raises(SystemExit, match="broken"):
        script.measured(script.Contender(codec, "each"), drawn_images(tiny_model(), 2)[..., 0], repeats=1)


def test_what_is_not_measured_again_stays_with_its_date() -> None:
    script = import_module("digits")
    rows = [{"name": "slow", "bytes": 1}, {"name": "slow", "bytes": 2, "measured": "before"}, {"name": "quick"}]
    known = {"machine": {"date": "then"}, "kinds": {"8-bit": {"images": 9, "rows": rows}}}
    found = script.earlier(known, "8-bit", 9, {"slow"})
    assert found == [{"name": "slow", "bytes": 1, "measured": "then"}, rows[1]]
    assert script.earlier(known, "8-bit", 8, {"slow"}) == script.earlier(known, "binarised", 9, {"slow"}) == []
    assert script.earlier({}, "8-bit", 9, {"slow"}) == script.earlier(known, "8-bit", 9, set()) == []
