"""Archives as data sets: every image once an epoch, whatever the workers."""

import gc
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import bitsback
from bitsback.archive.reader import CACHE_BYTES
from bitsback.integrations.torch import ArchiveDataset, BlockSampler, InBlocks, Together, decoder

IMAGES = np.random.default_rng(2).integers(0, 3, (150, 6, 5), np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("torch") / "a.bba"
    bitsback.compress(IMAGES, out, block=1 << 10)
    return out


def in_blocks(count: int, size: int, nbytes: int = 1) -> InBlocks:
    """A data set of so many images in blocks of one size; every other block's numbers are the others' neighbours."""
    numbers = [*range(0, count, 2), *range(1, count, 2)]
    blocks = [Together(numbers[at : at + size], nbytes) for at in range(0, count, size)]
    return SimpleNamespace(blocks=blocks)


@given(
    count=st.integers(0, 300),
    batch=st.integers(1, 40),
    size=st.integers(1, 50),
    pool=st.integers(1, 200),
    workers=st.integers(0, 3),
    drop=st.booleans(),
)
def test_every_image_once_an_epoch(count: int, batch: int, size: int, pool: int, workers: int, drop: bool) -> None:
    sampler = BlockSampler(in_blocks(count, size), batch, pool=pool, workers=workers, drop_last=drop)
    drawn = list(sampler)
    assert len(drawn) == len(sampler)
    assert all(len(numbers) == batch for numbers in drawn[:-1])
    flat = [number for numbers in drawn for number in numbers]
    assert len(set(flat)) == len(flat) and set(flat) <= set(range(count))
    assert len(flat) == (count // batch * batch if drop else count)


def test_epochs_differ_and_seeds_do_not() -> None:
    dataset = in_blocks(500, 8)
    sampler = BlockSampler(dataset, 10, pool=32, seed=3)
    first, second = list(sampler), list(sampler)
    assert first != second
    assert list(BlockSampler(dataset, 10, pool=32, seed=4)) == second


def decoded(dataset: InBlocks, batches: list[list[int]]) -> int:
    """How many blocks a worker decodes for its batches, where as much stays decoded as an archive keeps."""
    home = {number: (place, block) for place, block in enumerate(dataset.blocks) for number in block.images}
    kept: dict[int, int] = {}
    count = 0
    for place, block in (found for batch in batches for found in sorted(home[number] for number in batch)):
        count += kept.pop(place, None) is None
        kept[place] = block.nbytes
        while sum(kept.values()) > CACHE_BYTES and len(kept) > 1:
            del kept[next(iter(kept))]
    return count


@pytest.mark.parametrize("nbytes", [1, CACHE_BYTES // 30, CACHE_BYTES // 6])
@pytest.mark.parametrize("workers", [1, 2])
def test_each_block_is_decoded_once(nbytes: int, workers: int) -> None:
    dataset = in_blocks(2000, 20, nbytes)
    batches = list(BlockSampler(dataset, 32, workers=workers))
    assert sum(decoded(dataset, batches[worker::workers]) for worker in range(workers)) <= 100 + 3 * workers


def test_blocks_of_an_archive(path: Path) -> None:
    with ArchiveDataset(path) as dataset:
        assert sorted(number for block in dataset.blocks for number in block.images) == [*range(150)]
        assert len(dataset.blocks) > 3 and all(block.nbytes == 30 * len(block.images) for block in dataset.blocks)


def test_images_come_in_the_order_asked_for(path: Path) -> None:
    asked = [149, 3, 3, 70, 0]
    with ArchiveDataset(path) as dataset:
        assert len(dataset) == 150 and dataset[0].flags.writeable
        for image, number in zip(dataset.__getitems__(asked), asked, strict=True):
            np.testing.assert_array_equal(image, IMAGES[number])
        assert dataset.name(5) == "array.npy"


def test_a_pickled_one_and_a_transform(path: Path) -> None:
    with ArchiveDataset(path, np.sum) as dataset, pickle.loads(pickle.dumps(dataset)) as again:
        assert again[7] == IMAGES[7].sum()


def test_what_is_kept_is_decoded_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ArchiveDataset(path, keep=tmp_path / "kept") as dataset:
        blocks = len(dataset.blocks)
        assert sum(image.sum() for image in dataset) == IMAGES.sum()
        again = pickle.loads(pickle.dumps(dataset))
    monkeypatch.setattr("bitsback.archive.reader.decode_block", None)
    with again:
        for number, image in enumerate(again):
            assert type(image) is np.ndarray and image.flags.writeable
            np.testing.assert_array_equal(image, IMAGES[number])
    assert len(list((tmp_path / "kept").iterdir())) == blocks


def test_bad_sampler() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        BlockSampler(in_blocks(3, 1), 0)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers(path: Path, start: str) -> None:
    pytest.importorskip("torch")
    from torch.utils.data import DataLoader

    with ArchiveDataset(path) as dataset:
        dataset[0]  # decoded, models loaded and locks made before a fork
        sampler = BlockSampler(dataset, 16, pool=60)
        count = 2 if start == "fork" else 1  # each spawned one imports torch, for seconds
        loader = DataLoader(dataset, batch_sampler=sampler, num_workers=count, multiprocessing_context=start)
        drawn = np.concatenate([batch.numpy() for batch in loader])
    assert sorted(image.tobytes() for image in drawn) == sorted(image.tobytes() for image in IMAGES)


def test_webdataset(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    with wds.TarWriter(str(tmp_path / "a.tar"), mtime=0) as tar:
        for number in range(2):
            archive = bitsback.compress(IMAGES[number : number + 2], model="none")
            tar.write({"__key__": f"{number}", "bba": archive, "json": {"label": number}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not close its files
        samples = list(wds.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False).decode(decoder))
        gc.collect()
    assert [sample["json"]["label"] for sample in samples] == [0, 1]
    np.testing.assert_array_equal(samples[1]["bba"], IMAGES[1:3])


def test_archives_in_samples() -> None:
    assert decoder(".png", b"") is None
    np.testing.assert_array_equal(decoder(".bba", bitsback.compress(IMAGES[:3], model="none")), IMAGES[:3])


def test_hugging_face(path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    with ArchiveDataset(path) as archive:

        def rows() -> Iterator[dict[str, object]]:
            for number in range(len(archive)):
                yield {"image": Image.fromarray(archive[number]), "number": number}

        found = datasets.IterableDataset.from_generator(rows).skip(7)
        row = next(iter(found))
        assert row["number"] == 7 and np.array_equal(np.asarray(row["image"]), IMAGES[7])
