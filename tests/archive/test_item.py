import hashlib

import numpy as np
import pytest

from archive.archives import digits, file_item, folder_item, image_item, noise, stream_item
from bitsback.archive.item import content_digest, recipe_text, sketch
from bitsback.archive.plan import Load, PartFacts
from bitsback.errors import InputError


def test_files_kept_as_bytes() -> None:
    item = file_item("a", b"text " * 99)
    assert (item.holds, item.blob, item.counts, item.recipe, item.exact) == (True, b"text " * 99, (), None, True)
    assert item.digest() == hashlib.sha256(b"text " * 99).digest()
    assert item.facts().packable and not file_item("a", noise(999)).facts().packable


def test_images() -> None:
    item = image_item("a.npy", digits(3))
    assert item.counts == (3,) and item.recipe and item.picture
    assert item.facts().parts == (PartFacts(3, (8, 8, 1), "uint8", None),)
    assert item.facts().blob == len(item.blob) < 200
    two = image_item("a.npy", np.full((3, 8, 8, 1), 9, np.uint8))
    assert two.facts().parts[0].levels == (9, 9)
    assert item.load == Load(len(item.blob) + 3 * 64, len("a.npy" + item.recipe), 1)


def test_a_sketch_is_the_means_of_the_parts_and_their_edges() -> None:
    image = np.arange(160 * 130, dtype=np.uint16).reshape(160, 130, 1)
    means, edges = np.frombuffer(sketch(image), "<u2").reshape(2, 16, 16)
    assert edges[3, 0] == 10 * 7 and edges[15, 15] == 10 * 9  # none at the left end of a row
    assert means[3, 0] == image[30:40, 0:8].mean() // 1 and means[15, 15] == image[150:160, 121:130].mean() // 1
    small = (image // 90).astype(np.uint8).repeat(3, axis=2)
    means, edges = np.frombuffer(sketch(small), "<u2").reshape(2, 16, 16)
    assert edges.sum() == (small[:, 1:, 0] != small[:, :-1, 0]).sum()
    assert means[3, 0] == 16 * small[30:40, 0:8].mean() // 1
    assert sketch(image[:15]) == sketch(image[:, :15]) == sketch(image[:120]) == b""
    assert image_item("a.npy", image[None]).facts().parts[0].sketch == sketch(image)
    assert image_item("a.npy", np.stack([image, image])).facts().parts[0].sketch == b""


def test_streams_and_folders() -> None:
    item = stream_item("a", [b"one ", b"two"])
    assert (item.holds, item.blob, item.digest(), item.exact) == (True, b"", b"", True)
    assert item.facts().blob == 7 and item.load.samples == 0
    folder = folder_item("a")
    assert not folder.holds and folder.digest() == b""


def test_own_bytes_are_those_that_were_read() -> None:
    item = image_item("a.npy", digits(1), again=True)
    data = item.own_bytes()
    assert data and hashlib.sha256(data).digest() == item.sha256
    item.reload = lambda: data + b"x"
    assert item.own_bytes() is None

    def gone() -> bytes:
        raise InputError("a.npy", "gone")

    item.reload = gone
    assert item.own_bytes() is None
    item.reload = None
    assert item.own_bytes() is None


def test_the_digest_of_what_comes_back_in_other_bytes() -> None:
    exact, other = image_item("a.npy", digits(2)), image_item("a.npy", digits(2), exact=False)
    assert exact.sha256 == other.sha256 == exact.digest() != other.digest()
    assert other.picture and other.digest() == content_digest(other.blob, other.recipe, other.picture.parts)


def test_content_digests_are_pinned() -> None:
    recipe = recipe_text({"b": 1, "a": "ü"})
    assert recipe == '{"a":"\\u00fc","b":1}'
    images = np.array([[[[1], [258]]]], np.uint16)
    by_hand = recipe.encode() + b"\0" + b"\4" + bytes(7) + b"blob"
    by_hand += b"".join(axis.to_bytes(8, "little") for axis in (1, 1, 2, 1)) + b"\2" + b"\1\0\2\1"
    assert content_digest(b"blob", recipe, [images]) == hashlib.sha256(by_hand).digest()
    assert content_digest(b"blob", None, []) == hashlib.sha256(b"blob").digest()


@pytest.mark.parametrize("change", ["blob", "recipe", "shape", "dtype", "samples"])
def test_everything_counts_in_a_content_digest(change: str) -> None:
    images = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    changed = {
        "blob": (b"x", "{}", [images]),
        "recipe": (b"", "{ }", [images]),
        "shape": (b"", "{}", [images.reshape(1, 4, 3, 1)]),
        "dtype": (b"", "{}", [images.astype(np.uint16)]),
        "samples": (b"", "{}", [images + np.uint8(1)]),
    }[change]
    assert content_digest(*changed) != content_digest(b"", "{}", [images])
