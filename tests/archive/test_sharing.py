"""Equal contents cost once: equal files, and equal images whatever holds them."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from msgspec import structs
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import bitsback
from archive.test_format import assert_same, bare
from bitsback.archive import Archive, Settings, container, plan, reader, write_archive, writer
from bitsback.archive.container import Kind, System
from bitsback.archive.directory import Content, Directory, Row, Share
from bitsback.archive.edit import rebuild
from bitsback.archive.gather import Source, gather
from bitsback.archive.head import Block
from bitsback.archive.intake import items_of
from bitsback.archive.limits import Limits
from bitsback.archive.member import Entry
from bitsback.archive.reader import taken
from bitsback.errors import FormatError

KERNELS = True


def photo(seed: int, size: int = 24) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(size), np.arange(size + 20)) + rng.integers(0, 50)
    return (np.stack([ramp, ramp // 2, 255 - ramp], 2) + rng.integers(0, 9, (size, size + 20, 3))).astype(np.uint8)


def png(image: np.ndarray, level: int = 6, text: str = "") -> bytes:
    file, info = io.BytesIO(), PngInfo()
    if text:
        info.add_text("Title", text)
    Image.fromarray(image).save(file, "png", compress_level=level, pnginfo=info)
    return file.getvalue()


def folder_of(tmp_path: Path, files: dict[str, bytes]) -> Path:
    folder = tmp_path / "in"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def packed(folder: Path, settings: Settings | None = None) -> bytes:
    sources, skipped = gather([folder])
    sources = [replace(one, entry=structs.replace(one.entry, name=name_in(folder, one))) for one in sources]
    stream = io.BytesIO()
    write_archive(stream, list(items_of(sources, skipped)), bare(), settings or Settings())
    return stream.getvalue()


def name_in(folder: Path, source: Source) -> str:
    return Path(source.path).relative_to(folder.parent).as_posix()


def blocks(archive: Archive) -> list[Block]:
    return [block for chunk in archive.structure.chunks for block in chunk.head.blocks]


def checked(folder: Path, data: bytes) -> Archive:
    """Both readers find the files of a folder in an archive."""
    found = assert_same(data)
    files = {f"in/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
    for name, path in files.items():
        assert found[name.encode()].file == path.read_bytes()
    return Archive(data, library=bare())


def many(image: np.ndarray) -> dict[str, bytes]:
    """A photo, as in the issue: twenty copies, five of other levels, three of other metadata."""
    files = {f"copy-{n:02}.png": png(image) for n in range(20)}
    files |= {f"level-{level}.png": png(image, level) for level in (1, 2, 4, 8, 9)}
    return files | {f"text-{n}.png": png(image, text="as it were " * n) for n in (1, 2, 3)}


def test_twenty_eight_are_hardly_larger_than_one(tmp_path: Path) -> None:
    large = photo(0, 300)
    single = packed(folder_of(tmp_path / "one", {"copy-00.png": png(large)}))
    assert len(packed(folder_of(tmp_path / "all", many(large)))) < len(single) * 1.03
    image = photo(0)
    folder = folder_of(tmp_path / "small", many(image))
    archive = checked(folder, packed(folder))
    assert len({member.content for member in archive.members if member.content is not None}) == len(
        set(many(image).values())
    )
    assert sum(block.samples for block in blocks(archive)) == image.size
    assert len(archive) == 28 and all(np.array_equal(archive[n], image) for n in (0, 20, 27))


def test_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{n}/{name}": data for n in range(3) for name, data in many(photo(n)).items() if name > "copy-18"}
    folder = folder_of(tmp_path, files)
    whole = packed(folder)
    monkeypatch.setattr(plan, "MAX_MEMBERS", 4)
    data = packed(folder, Settings(block=1 << 10))
    archive = checked(folder, data)
    assert len(list(archive.structure.each(Kind.DIRECTORY))) > 6
    assert sum(block.count for block in blocks(archive)) == 3
    assert len(whole) < len(data)


def test_any_number_of_files_with_the_same_images_takes_the_memory_of_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).integers(0, 256, 40 * 50, np.uint8).tobytes()
    files = {f"in/{n:02}.pgm": b"P5 # %02d\n50 40 255\n" % n + image for n in range(30)}
    data = packed(folder_of(tmp_path, {Path(name).name: content for name, content in files.items()}))
    assert len(data) < 5000
    monkeypatch.setattr(reader, "BATCH", 20_000)
    with Archive(data, library=bare(), limits=Limits(memory=80_000)) as archive:
        assert {one.name: b"".join(taken(content)) for one, content in archive.contents(threads=1)} == files
        assert archive.test(threads=1) == [] and archive.read("in/07.pgm") == files["in/07.pgm"]
        digests = {one.name: digest for one, digest in archive.digests(threads=2)}
        assert digests == {name: hashlib.sha256(content).digest() for name, content in files.items()}
        # all of them are covered by one digest, which is looked at when the last of them is there
        chunk = archive.structure.chunks[-1]
        chunk.head = replace(chunk.head, digest=bytes(32))
        assert any("do not come back as they were" in problem for problem in archive.test(threads=1))


def test_little_of_a_large_block_is_not_shared_with_later_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    icons = {f"a{n:02}.png": png(photo(n, 8)) for n in range(12)}
    again = {f"b{n:02}.png": png(photo(n, 8), 1) for n in range(12)}
    folder = folder_of(tmp_path, icons | again)
    assert sum(block.count for block in blocks(checked(folder, packed(folder)))) == 12
    monkeypatch.setattr(plan, "MAX_MEMBERS", 13)
    archive = checked(folder, packed(folder))
    assert sum(block.count for block in blocks(archive)) > 12


def test_an_array_twice_in_one_file_and_in_others(tmp_path: Path) -> None:
    image = photo(1)
    frames = [Image.fromarray(one) for one in (image[:, ::-1], image)]
    moving = io.BytesIO()
    Image.fromarray(image).save(moving, "png", save_all=True, append_images=frames, default_image=True)
    both = io.BytesIO()
    np.savez(both, a=image[None], b=image[None], c=image[None, ::-1])
    bmp = io.BytesIO()
    Image.fromarray(image).save(bmp, "bmp")
    array = io.BytesIO()
    np.save(array, image[None])
    files = {"a.png": png(image), "b.npz": both.getvalue(), "c.bmp": bmp.getvalue(), "d.npy": array.getvalue()}
    folder = folder_of(tmp_path, files | {"e.png": moving.getvalue()})
    archive = checked(folder, packed(folder))
    contents = [content.shares for content in archive.structure.contents.values()]
    assert contents[0] == () and contents[1] == (Share(0, 1), Share(0, 1), None) and contents[2] == (Share(0, 1),)
    assert contents[3] == (Share(0, 1),)


def test_coefficients(tmp_path: Path) -> None:
    files = {}
    for name, comment in (("a", b""), ("b", b"with words")):
        file = io.BytesIO()
        Image.fromarray(photo(2, 64)).save(file, "jpeg", quality=80, comment=comment)
        files[f"{name}.jpg"] = file.getvalue()
    archive = Archive(packed(folder_of(tmp_path, files)), library=bare())
    assert archive.test() == [] and len(archive) == 2
    assert all(archive.read(f"in/{name}") == data for name, data in files.items())
    assert [content.shares for content in archive.structure.contents.values()] == [(), (Share(0, 1),)]
    stream = io.BytesIO()
    rebuild([(archive, [archive.find("in/b.jpg")])], stream)
    assert Archive(stream.getvalue(), library=bare()).read("in/b.jpg") == files["b.jpg"]


def test_what_is_given_up_takes_those_along_that_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BLOCK_COST", 10_000)
    noise = np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    folder = folder_of(tmp_path, {f"{level}.png": png(noise, level) for level in range(4)})
    archive = checked(folder, packed(folder))
    assert all(member.recipe is None for member in archive.members if member.content is not None)


@pytest.mark.parametrize("seed", range(6))
def test_archives_put_together_anew(tmp_path: Path, seed: int) -> None:
    """Of a few members, in any order: whoever comes first has the arrays."""
    random = Random(seed)
    files = {f"{n}/{name}": data for n in range(2) for name, data in many(photo(n)).items() if name > "copy-17"}
    folder = folder_of(tmp_path, files)
    one = Archive(packed(folder), library=bare())
    chosen = random.sample([member for member in one.members if member.content is not None], 1 + seed)
    stream = io.BytesIO()
    out = rebuild([(one, chosen), (one, chosen[:0])], stream)
    assert out.members == chosen
    found = assert_same(stream.getvalue())
    assert all(found[member.name.encode()].file == (tmp_path / member.name).read_bytes() for member in chosen)
    images = len({member.name.split("/")[1] for member in chosen})
    again = Archive(stream.getvalue(), library=bare())
    assert sum(block.count for block in blocks(again)) == images


def test_added_files_that_are_there_already(tmp_path: Path) -> None:
    files = {"a.png": png(photo(0)), "b.txt": b"text " * 200}
    folder = folder_of(tmp_path, files)
    path = tmp_path / "a.bba"
    bitsback.compress(folder, path, store_sha256=True, model="none")
    size = path.stat().st_size
    (folder / "again.png").write_bytes(files["a.png"])
    (folder / "again.txt").write_bytes(files["b.txt"])
    report = bitsback.add(path, [folder / "again.png", folder / "again.txt"], store_sha256=True, pixels=True)
    assert [kept.how for kept in report.members] == ["again", "again"] and all(kept.exact for kept in report.members)
    assert path.stat().st_size - size < 600
    with bitsback.open(path) as archive:
        assert archive.test() == []
        assert all(archive.read(one.name) in files.values() for one in archive.members if one.content is not None)


WRONG = {
    "what is not there": Share(-1, 1),
    "itself": Share(1, 1),
    "a later one of its own": Share(1, 2),
    "a part too many": Share(0, 2),
    "another number of images": Share(0, 1),
}


@pytest.mark.parametrize("share", WRONG.values(), ids=WRONG)
def test_arrays_that_cannot_be_the_same(share: Share) -> None:
    stream = io.BytesIO()
    chunks = container.ContainerWriter(stream, container.Header(1, System.POSIX))
    contents = [Content(4, 0, "{}", (3,)), Content(4, 0, "{}", (2,), shares=(share,))]
    rows = [Row(Entry(f"{k}"), k) for k in range(2)]
    chunks.add(Kind.DIRECTORY, *Directory(0, 0, rows, contents).encode(System.POSIX))
    chunks.finish()
    with pytest.raises(FormatError, match="an array is said to be the same"):
        Archive(stream.getvalue(), library=bare())
