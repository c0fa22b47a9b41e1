from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("imagecodecs", reason="the extra [bench] is not installed")


def test_the_command_is_timed_with_and_without_verification(tmp_path: Path) -> None:
    script = import_module("photos")
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path in paths:
        Image.fromarray(np.cumsum(rng.integers(-3, 4, (16, 20, 3)), axis=1).astype(np.uint8)).save(path)
    found = script.command_times(paths, ["fast"])
    assert [(done["job"], done.get("verify")) for done in found] == [
        ("compress", True),
        ("compress", False),
        ("decompress", None),
    ]
    assert {done["raw_bytes"] for done in found} == {2 * 16 * 20 * 3}
    assert len({done["bytes"] for done in found}) == 1


def test_what_it_takes_is_told() -> None:
    command = {"job": "compress", "effort": "normal", "verify": True, "raw_bytes": 6_000_000, "cpu": 6.0}
    commands = [command, command | {"verify": False, "cpu": 3.0}]
    commands += [{"job": "decompress", "effort": "normal", "raw_bytes": 6_000_000, "cpu": 2.0}]
    peak = {"megapixels": 24.0, "photo": {"compress": 1000.0, "decompress": 800.0}}
    text = import_module("tables").command({"command": commands, "peak_mib": peak})
    assert "1.0 MB a CPU second in with verification, 2.0 without, 3.0 out" in text
    assert "24 megapixels takes 1,000 MiB" in text
