import io
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitsback
from bitsback import api
from bitsback.archive.choice import EFFORTS
from bitsback.errors import (
    BitsBackError,
    FormatError,
    ImageError,
    InputError,
    LimitError,
    ModelNotFoundError,
    OutputExistsError,
)
from helpers import drawn_images, tiny_model


def ramps(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return (np.arange(np.prod(shape)) * 7 % 251).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    "array",
    [
        ramps(30, 12, 10),
        ramps(5, 12, 10, 3),
        ramps(12, 10),
        ramps(7, 9, 9, dtype=np.uint16),
        ramps(6, 8, 8) > 100,
        np.asfortranarray(ramps(6, 8, 9)),
        ramps(0, 8, 8),
        np.linspace(0, 1, 60).reshape(3, 4, 5),
        ramps(5),
        np.array(3, np.uint8),
        np.array(["text"]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back(array: np.ndarray) -> None:
    again = bitsback.decompress(bitsback.compress(array, threads=1), threads=1)
    assert (again.shape, again.dtype) == (array.shape, array.dtype)
    assert np.array_equal(again, array)


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(ImageError):
        bitsback.compress(np.array([{}]))


def test_several_arrays_are_no_paths() -> None:
    with pytest.raises(TypeError, match=r"several arrays: .* np\.stack"):
        bitsback.compress([np.zeros((3, 4), np.uint8), np.zeros((5, 4), np.uint8)])  # type: ignore[call-overload]


def test_bytes_do_not_depend_on_threads_or_time() -> None:
    images = ramps(60, 30, 30)
    assert len({bitsback.compress(images, threads=threads) for threads in (1, 2, 3, 0)}) == 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``in``, given by a relative path, as that is what members are called by."""
    monkeypatch.chdir(tmp_path)
    folder = Path("in")
    (folder / "deep").mkdir(parents=True)
    for number in range(4):
        np.save(folder / f"{number}.npy", ramps(9, 9 + number))
    (folder / "deep" / "text.txt").write_text("text " * 50)
    os.utime(folder / "0.npy", ns=(10**18 + 7, 10**18 + 7))
    (folder / "0.npy").chmod(0o640)
    return folder


def test_folders_come_back(folder: Path, tmp_path: Path) -> None:
    report = bitsback.compress(folder, tmp_path / "a.bba")
    assert isinstance(report, bitsback.Report)
    assert (report.images, len(report.members), report.skipped) == (4, 7, [])
    assert report.bytes_out == (tmp_path / "a.bba").stat().st_size
    written = bitsback.decompress(tmp_path / "a.bba", tmp_path / "out")
    assert sorted(written) == sorted(
        tmp_path / "out" / "in" / p for p in ["0.npy", "1.npy", "2.npy", "3.npy", "deep/text.txt"]
    )
    for path in written:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path / "out" / "in")).read_bytes()
    info = (tmp_path / "out" / "in" / "0.npy").stat()
    assert (info.st_mtime_ns, stat.S_IMODE(info.st_mode)) == (10**18 + 7, 0o640)


def test_several_paths_and_bytes_out(folder: Path) -> None:
    data = bitsback.compress([folder / "1.npy", str(folder / "deep")])
    with bitsback.open(data) as archive:
        assert archive.names == ["in/1.npy", "in/deep", "in/deep/text.txt"]
        assert np.array_equal(archive[0], ramps(9, 10))


def test_members_are_chosen_by_name_pattern_or_folder(folder: Path, tmp_path: Path) -> None:
    data = bitsback.compress(folder)
    assert len(bitsback.decompress(data, tmp_path / "a", members=["in/[12].npy"])) == 2
    assert len(bitsback.decompress(data, tmp_path / "b", members=["in/deep", "in/3.npy"])) == 2
    with pytest.raises(BitsBackError, match="nothing"):
        bitsback.decompress(data, tmp_path / "c", members=["nothing*"])
    assert not (tmp_path / "c").exists()


def test_outputs_are_not_overwritten(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.bba"
    out.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        bitsback.compress(folder, out)
    assert out.read_bytes() == b"mine"
    bitsback.compress(folder, out, force=True)
    bitsback.decompress(out, tmp_path / "out")
    with pytest.raises(OutputExistsError):
        bitsback.decompress(out, tmp_path / "out")
    bitsback.decompress(out, tmp_path / "out", force=True)


def test_an_input_is_never_the_output(folder: Path) -> None:
    before = (folder / "0.npy").read_bytes()
    with pytest.raises(OutputExistsError, match="both an input and the output"):
        bitsback.compress(folder, folder / "0.npy", force=True)
    assert (folder / "0.npy").read_bytes() == before


def test_an_output_inside_of_the_input_folder(folder: Path) -> None:
    bitsback.compress(folder, folder / "a.bba")
    assert bitsback.open((folder / "a.bba").read_bytes()).names[-1] == "in/deep/text.txt"


def test_an_output_that_is_a_folder_or_a_device(folder: Path) -> None:
    with pytest.raises(OutputExistsError):
        bitsback.compress(folder, ".", force=True)
    device = Path("/dev/null").stat()
    assert isinstance(bitsback.compress(folder, "/dev/null"), bitsback.Report)
    assert os.path.samestat(Path("/dev/null").stat(), device)


def test_nothing_to_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        bitsback.compress(tmp_path / "nowhere", tmp_path / "a.bba")
    with pytest.raises(ImageError, match="nothing to store"):
        bitsback.compress([])
    assert list(tmp_path.iterdir()) == []


def test_what_was_left_out_is_told(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe")
    report = bitsback.compress(folder, tmp_path / "a.bba")
    assert [one.name for one in report.skipped] == ["in/pipe"]
    with pytest.warns(UserWarning, match="in/pipe: a pipe"):
        bitsback.compress(folder)


def test_a_stream_as_output(folder: Path) -> None:
    stream = io.BytesIO()
    report = bitsback.compress(folder, stream)
    assert report.bytes_out == len(stream.getvalue())
    assert bitsback.open(stream).test() == []


def test_several_files_are_not_an_array(folder: Path) -> None:
    with pytest.raises(BitsBackError, match="7 files"):
        bitsback.decompress(bitsback.compress(folder))


def test_models_by_name() -> None:
    with pytest.raises(ModelNotFoundError):
        bitsback.compress(ramps(3, 9, 9), model="no such model")
    assert bitsback.open(bitsback.compress(ramps(3, 28, 28), model="none")).members[0].models == ()


def test_a_model_that_is_not_installed_is_given_when_reading(tmp_path: Path) -> None:
    model = tiny_model(2)
    images = drawn_images(model, 400)[..., 0]
    path = tmp_path / "mine.bbm"
    path.write_bytes(model.data)
    inside = bitsback.compress(images, model=model)
    np.testing.assert_array_equal(bitsback.decompress(inside), images)
    data = bitsback.compress(images, model=model, embed_model=False)
    assert len(data) < len(inside)
    with pytest.raises(ModelNotFoundError):
        bitsback.decompress(data)
    ways: list[Any] = [model, path, str(path), [model], [path, "digits"], (str(path),)]
    for models in ways:
        np.testing.assert_array_equal(bitsback.decompress(data, models=models), images)
        np.testing.assert_array_equal(bitsback.open(data, models=models)[7], images[7])


def test_effort_and_models_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    images = ramps(30, 28, 28)
    assert len({bitsback.compress(images, effort=effort) for effort in EFFORTS}) == 1  # few images: all tried on all
    with pytest.raises(ValueError, match="one of fast, normal, max"):
        bitsback.compress(images, effort="mad")  # type: ignore[call-overload]
    images = np.zeros((30, 28, 28), np.uint8)
    images[:, 4:24, 12:15] = ramps(30, 20, 3) // 4 + 190
    report = bitsback.compress(images, tmp_path / "a.bba", model="digits")
    assert [(kept.how, kept.reason) for kept in report.members] == [("digits", "asked for")]
    report = bitsback.compress(folder / "0.npy", tmp_path / "b.bba", model="digits-binary")
    why = "the model digits-binary does not take images of 9x9x1 uint8 samples"
    assert report.members[0].reason.startswith(why)


def test_limits_hold_both_ways(folder: Path, tmp_path: Path) -> None:
    images = ramps(50, 40, 40)
    data = bitsback.compress(images)
    with pytest.raises(LimitError):
        bitsback.decompress(data, limits=bitsback.Limits(memory=1000))
    with pytest.raises(LimitError):
        bitsback.open(data, limits=bitsback.Limits(pixels=1599))
    report = bitsback.compress(folder, tmp_path / "b.bba", limits=bitsback.Limits(pixels=90))
    assert [one.name for one in report.skipped] == ["in/2.npy", "in/3.npy"]
    assert "over the limit" in report.skipped[0].reason
    everything = bitsback.compress(folder)
    assert (
        bitsback.compress(folder, limits=bitsback.Limits(pixels=1000)) == everything
    )  # they refuse, or change nothing


def test_damage_is_found() -> None:
    data = bytearray(bitsback.compress(ramps(3, 9, 9)))
    data[60] ^= 4
    with pytest.raises(FormatError):
        bitsback.decompress(bytes(data))


def test_a_full_disk_leaves_the_old_archive(folder: Path, tmp_path: Path) -> None:
    """The kernel refuses to let any file grow: what a full disk does, but without one."""
    out = tmp_path / "a.bba"
    out.write_bytes(b"old")
    code = (
        "import resource, bitsback, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: bitsback.compress(sys.argv[1], sys.argv[2], force=True, model='none')\n"
        "except OSError as error: print(error.strerror)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, folder, out], capture_output=True, text=True, check=True)
    assert "large" in done.stdout
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bba", "in"]


def test_the_public_names_are_lazy_and_complete() -> None:
    code = (
        "import sys, bitsback; heavy = {'numpy', 'llvmlite', 'onnxruntime', 'PIL', 'click'}; "
        "assert not heavy & sys.modules.keys(); "
        "assert all(getattr(bitsback, name) for name in bitsback.__all__); "
        "assert set(bitsback.__all__) <= set(dir(bitsback)); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        bitsback.nothing  # noqa: B018


def test_select_keeps_the_order(folder: Path) -> None:
    members = bitsback.open(bitsback.compress(folder)).members
    assert [m.name for m in api.select(members, ["in/3.npy", "in/0*"])] == ["in/0.npy", "in/3.npy"]
    assert api.select(members, []) == members
