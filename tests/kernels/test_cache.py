"""The cache of compiled kernels: nothing stale, nothing of others, and no failure of it is anybody's failure."""

import errno
import os
import shutil
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import bitsback
from bitsback.kernels import CacheWarning, cache
from bitsback.kernels.cache import Cache

PACKAGE = Path(bitsback.__file__).parent
CODE = bytes(range(256)) * 9
posix = pytest.mark.skipif(os.name == "nt", reason="modes and owners of POSIX")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_warned", False)


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "caches" / "bitsback" / f"kernels-{'0' * 32}")


def again(kept: Cache) -> Cache:
    """As another process sees it."""
    return Cache(kept.folder)


def test_what_is_stored_is_loaded(kept: Cache) -> None:
    assert kept.load("a.o") is None
    kept.store("a.o", CODE)
    kept.store("b.o", b"")
    for one in (kept, again(kept)):
        assert one.load("a.o") == CODE
        assert one.load("b.o") == b""
        assert one.load("c.o") is None
    assert sorted(path.name for path in kept.folder.iterdir()) == ["a.o", "b.o"]


@posix
def test_nobody_else_has_access(kept: Cache) -> None:
    before = os.umask(0)
    try:
        kept.store("a.o", CODE)
    finally:
        os.umask(before)
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    assert kept.folder.parent.stat().st_mode & 0o777 == 0o700
    assert (kept.folder / "a.o").stat().st_mode & 0o777 == 0o600
    assert kept.load("a.o") == CODE


def damages() -> Iterator[bytes]:
    whole = cache._MAGIC + cache.xxhash.xxh3_128_digest(CODE) + CODE
    rng = np.random.default_rng(0)
    for size in (0, 1, len(cache._MAGIC), len(cache._MAGIC) + 16, 500, len(whole) - 1):
        yield whole[:size]
    for place in [*range(40), *rng.integers(40, len(whole), 20).tolist()]:
        yield whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :]
    yield whole + b"\0"
    yield rng.bytes(len(whole))
    yield bytes(len(whole))


def test_damage_of_any_kind_is_noticed_and_mended(kept: Cache) -> None:
    kept.store("a.o", CODE)
    for number, data in enumerate(damages()):
        (kept.folder / "a.o").write_bytes(data)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert kept.load("a.o") is None
        assert [one.category for one in said] == [CacheWarning] * (number == 0)  # once a process
    kept.store("a.o", CODE)
    assert kept.load("a.o") == CODE


def test_the_warning_says_where_and_why(kept: Cache) -> None:
    kept.store("a.o", CODE)
    (kept.folder / "a.o").write_bytes(b"")
    with pytest.warns(CacheWarning, match=r"kernels-0+ \(a\.o is damaged\)"):
        kept.load("a.o")


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_not_trusted(kept: Cache, mode: int) -> None:
    kept.store("a.o", CODE)
    kept.folder.chmod(mode)
    with pytest.warns(CacheWarning, match="others may write to it"):
        assert again(kept).load("a.o") is None


@posix
def test_nor_is_such_a_file(kept: Cache) -> None:
    kept.store("a.o", CODE)
    (kept.folder / "a.o").chmod(0o622)
    with pytest.warns(CacheWarning, match="others may write to it"):
        assert kept.load("a.o") is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_nor_is_what_belongs_to_others(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.store("a.o", CODE)
    os.chown(kept.folder / "a.o", 12345, -1)
    with pytest.warns(CacheWarning, match="belongs to another user"):
        assert kept.load("a.o") is None
    os.chown(kept.folder, 12345, -1)
    monkeypatch.setattr(cache, "_warned", False)
    with pytest.warns(CacheWarning, match="belongs to another user"):
        assert not again(kept).ready()


@posix
def test_nor_is_a_link(kept: Cache, tmp_path: Path) -> None:
    kept.store("a.o", CODE)
    kept.folder.rename(tmp_path / "elsewhere")
    kept.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(CacheWarning, match="not a folder"):
        assert again(kept).load("a.o") is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("where", ["mkdir", "touch", "write_bytes", "replace", "open"])
def test_no_failure_of_the_disk_is_an_error(
    kept: Cache, monkeypatch: pytest.MonkeyPatch, where: str, number: int
) -> None:
    def fail(self: Path, *arguments: object, **named: object) -> None:
        if where == "write_bytes":  # as much as there is room for
            with self.open("wb") as file:
                file.write(CODE[:100])
        raise OSError(number, os.strerror(number), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, where, fail)
        with pytest.warns(CacheWarning, match=os.strerror(number)) as said:
            kept.store("a.o", CODE)
            assert kept.load("a.o") is None
            kept.store("b.o", CODE)
        assert len(said) == 1
    assert not list(kept.folder.glob(".*"))
    if where in ("touch", "write_bytes", "replace"):
        kept.store("a.o", CODE)
        assert kept.load("a.o") == CODE


def test_a_folder_that_vanishes_is_made_again(kept: Cache) -> None:
    kept.store("a.o", CODE)
    shutil.rmtree(kept.folder.parents[1])
    assert kept.load("a.o") is None
    kept.store("a.o", CODE)
    assert kept.load("a.o") == CODE


def test_a_file_in_the_place_of_a_folder(kept: Cache) -> None:
    kept.folder.parents[1].write_bytes(b"")
    with pytest.warns(CacheWarning):
        kept.store("a.o", CODE)
    assert kept.load("a.o") is None


def test_many_at_once(kept: Cache) -> None:
    """Whoever loads finds nothing or all of it."""

    def one(number: int) -> bytes | None:
        mine = again(kept)
        mine.store("a.o", CODE)
        return mine.load("a.o")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(200))) == {CODE}
    assert [path.name for path in kept.folder.iterdir()] == ["a.o"]


def test_sets_that_nobody_uses_any_more_are_removed(kept: Cache) -> None:
    parent = kept.folder.parent
    old, new, other = parent / f"kernels-{'a' * 32}", parent / f"kernels-{'b' * 32}", parent / "kernels-mine"
    for folder in (old, new, other):
        folder.mkdir(parents=True)
        (folder / "a.o").write_bytes(CODE)
    for folder in (old, other):
        os.utime(folder, (0, time.time() - 31 * 24 * 3600))
    kept.store("a.o", CODE)
    assert sorted(parent.iterdir()) == sorted([kept.folder, new, other])
    os.utime(kept.folder, (0, 0))
    again(kept).load("a.o")  # whoever uses a set says so
    assert kept.folder.stat().st_mtime > time.time() - 60


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BITSBACK_CACHE_DIR", str(tmp_path / "asked"))
    assert cache._place() == tmp_path / "asked"
    monkeypatch.setenv("BITSBACK_CACHE_DIR", "relative")
    assert cache._place() == Path("relative").absolute()
    monkeypatch.setenv("BITSBACK_CACHE_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    if os.name == "posix" and sys.platform != "darwin":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache._place() == tmp_path / "xdg" / "bitsback"
        for other in ("", "relative"):  # which its specification says to ignore
            monkeypatch.setenv("XDG_CACHE_HOME", other)
            assert cache._place() == tmp_path / ".cache" / "bitsback"
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    if os.name == "posix" and sys.platform != "darwin":
        assert cache._place() is None


# Whole processes, on a copy of the package ---------------------------------------------------------------------------

SCRIPT = """
import sys
import numpy as np
from bitsback.kernels import machine
count, made = 0, machine.made
def counted(*arguments):
    global count
    count += 1
    return made(*arguments)
machine.made = counted
from bitsback.codecs import Gaussian
starts, freqs = Gaussian(np.full(50, 800), np.full(50, 30)).intervals(np.arange(50))
print(count, int(starts.sum()) * 7 + int(freqs.sum()))
"""


class Copy:
    """A copy of the package with a cache of its own; running it gives how many kernels were compiled, and a result."""

    def __init__(self, folder: Path) -> None:
        self.package, self.cache = folder / "lib" / "bitsback", folder / "cache"
        ignored = shutil.ignore_patterns("__pycache__", "*.bbm")
        shutil.copytree(PACKAGE, self.package, ignore=ignored)
        self.path = self.package.parent

    def start(self, script: str = SCRIPT, **environment: str) -> subprocess.Popen[str]:
        known = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        known |= {"PYTHONPATH": str(self.path), "BITSBACK_CACHE_DIR": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", script]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=known | environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, script: str = SCRIPT, **environment: str) -> tuple[int, int]:
        process = self.start(script, **environment)
        out, self.said = process.communicate()
        assert process.returncode == 0, self.said
        compiled, result = out.split()
        return int(compiled), int(result)

    @property
    def files(self) -> list[Path]:
        return sorted(self.cache.rglob("*.o"))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_an_edited_helper_of_another_file_is_noticed(copy: Copy) -> None:
    compiled, result = copy.run()
    assert compiled == 1
    assert copy.run(PYTHONHASHSEED="1") == (0, result)
    path = copy.package / "codecs" / "tables.py"
    edited = path.read_text().replace("return table[i] +", "return table[i] // 2 +")
    assert edited != path.read_text()
    stamp = path.stat()
    path.write_text(edited)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    compiled, other = copy.run()
    assert compiled == 1
    assert other != result
    assert copy.run() == (0, other)
    shutil.rmtree(copy.cache)
    assert copy.run() == (1, other)


def test_the_compiler_itself_is_part_of_the_set(copy: Copy) -> None:
    copy.run()
    path = copy.package / "kernels" / "machine.py"
    path.write_text(path.read_text().replace("LEVEL = 2", "LEVEL = 1"))
    assert copy.run()[0] == 1
    assert len(list(copy.cache.glob("kernels-*"))) == 2


@pytest.mark.parametrize("size", [0, 40])
def test_files_cut_short_by_a_power_cut(copy: Copy, size: int) -> None:
    _, result = copy.run()
    for path in copy.files:
        os.truncate(path, size)
    assert copy.run() == (1, result)
    assert copy.said.count("CacheWarning") == 1
    assert copy.run() == (0, result)
    assert not copy.said


def test_a_place_where_nothing_can_be_kept(copy: Copy) -> None:
    _, result = copy.run()
    copy.cache = copy.package / "__init__.py" / "cache"
    for _ in range(2):
        assert copy.run() == (1, result)
        assert copy.said.count("CacheWarning") == 1


def test_two_processes_at_once(copy: Copy) -> None:
    started = [copy.start() for _ in range(4)]
    found = [process.communicate() for process in started]
    assert len({out.split()[1] for out, _ in found}) == 1
    assert not any(said for _, said in found)
    assert copy.run()[0] == 0


def test_older_code_in_memory_leaves_nothing_for_the_new(copy: Copy) -> None:
    """A process imports, a file is edited, and only then does the process compile."""
    path = copy.package / "codecs" / "tables.py"
    text = path.read_text()
    edited = text.replace("_LAST = (32 * STEPS << FRACTION) - 1\n", "_LAST = (32 * STEPS << FRACTION) - 9999999\n")
    assert edited != text
    late = SCRIPT.replace("starts, freqs =", f"open({str(path)!r}, 'w').write({edited!r})\nstarts, freqs =")
    narrow = "np.full(50, 800), np.full(50, 0)"  # positions beyond the last, which the edit moves
    late, plain = (script.replace("np.full(50, 800), np.full(50, 30)", narrow) for script in (late, SCRIPT))
    _, old = copy.run(late)
    _, new = copy.run(plain)
    shutil.rmtree(copy.cache)
    assert copy.run(plain) == (1, new)
    path.write_text(text)
    assert copy.run(plain) == (1, old)


def test_a_package_in_an_archive(copy: Copy, tmp_path: Path) -> None:
    _, result = copy.run()
    shutil.rmtree(copy.cache)
    archive = tmp_path / "lib.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(copy.package.rglob("*")):
            file.write(path, path.relative_to(copy.path))
    shutil.rmtree(copy.package)
    copy.path = archive
    assert copy.run() == (1, result)
    assert copy.run() == (0, result)


IMPORTS = """
import sys, threading
import bitsback.codecs, bitsback.kinds.context.codec, bitsback.kinds.adaptive.payload, bitsback.files.filters
from pathlib import Path
before = set(sys.modules)
def work():
    import numpy as np
    bitsback.codecs.Gaussian(np.full(50, 800), np.full(50, 30)).intervals(np.arange(50))
at_import = Path({cache!r}).exists()
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(0, len(set(sys.modules) - before) * 10 + at_import)
print(sorted(set(sys.modules) - before), file=sys.stderr)
"""


def test_imports_touch_no_cache_and_threads_import_nothing(copy: Copy) -> None:
    _, result = copy.run(IMPORTS.replace("{cache!r}", repr(str(copy.cache))))
    assert result == 0, copy.said
    assert copy.files
