from importlib import import_module

import numpy as np
import pytest

from bitsback.archive import Archive

pytest.importorskip("imagecodecs", reason="the extra [bench] is not installed")


def photos(count: int = 3, height: int = 24, width: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(np.cumsum(rng.integers(-3, 4, (count, height, width, 3)), axis=2).astype(np.uint8))


def test_every_codec_restores_its_images() -> None:
    script = import_module("photos")
    images = photos()
    for contender in [*script.contenders(slow=False), script.jpegxl(3, "stacked")]:
        row = script.peer_row(contender, images)
        assert (row.images, row.layout) == (3, contender.layout)
        assert row.bits_per_dim == 8 * row.bytes / sum(image.size for image in images)


def test_a_codec_that_does_not_restore_its_images_stops_the_run() -> None:
    script = import_module("photos")
    broken = script.Contender("broken", lambda image: image.tobytes(), lambda data: np.zeros((24, 20, 3), np.uint8))
    with pytest.raises(SystemExit, match="broken"):
        script.peer_row(broken, photos())


def test_our_rows_are_whole_archives() -> None:
    script = import_module("photos")
    images = photos()
    data, routes = script.encode(images, model="none", threads=1)
    assert len(Archive(data)) == 3 and routes == "adaptive"
    row = script.our_row("bitsback", images, model="none")
    assert (row.bytes, row.note) == (len(data), "adaptive")
    singles = script.our_single_rows("bitsback", images, model="none")
    assert singles.bytes == sum(len(script.encode([image], model="none")[0]) for image in images)


def test_a_mosaic_has_the_size_asked_for() -> None:
    script = import_module("photos")
    images = [*photos(2), *photos(1, 20, 24)]
    large = script.mosaic(images, 70, 90)
    assert large.shape == (70, 90, 3)
    assert np.array_equal(large[:20, :24], images[0].swapaxes(0, 1))


def test_the_table_is_made_of_the_results() -> None:
    tables = import_module("tables")
    row = {"layout": "archive", "encode": 1.5, "decode": 2.0}
    rows = [
        row | {"name": "bitsback, 2 threads", "bits_per_dim": 2.7},
        row | {"name": "JPEG XL, effort 9", "bits_per_dim": 2.9, "layout": "each"},
    ]
    command = {"job": "compress", "effort": "normal", "verify": True, "mb_per_second": 1.0}
    kodak = {
        "rows": rows,
        "images": 24,
        "faster_than_jpegxl_9": {"bitsback, 2 threads": {"encode_wall": 7.0}},
        "command": [
            command,
            command | {"verify": False},
            {"job": "decompress", "effort": "normal", "mb_per_second": 2},
        ],
    }
    machine = {
        "cpu": "A",
        "cores": 2,
        "system": "B",
        "machine": "C",
        "python": "3",
        "versions": {},
        "date": "2026-11-22",
    }
    sets = {"Kodak": kodak, "thumbnails": {"rows": rows[:1], "images": 2000}}
    text = tables.photos({"sets": sets, "machine": machine})
    assert "| **bitsback**, one archive | **2.700** | **2.700** | 1.5 | 2.0 |" in text
    assert "| JPEG XL, effort 9, one file an image | 2.900 | - | 1.5 | 2.0 |" in text
    assert "WebP" not in text
    assert "encodes 7.0 times as fast" in text
