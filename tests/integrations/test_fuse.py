"""An archive as a folder: what the kernel is told, and, where it may be mounted, what is there."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bitsback

pytest.importorskip("fsspec")
try:
    import fuse
except (ImportError, OSError):
    pytest.skip("needs fusepy and libfuse 2", allow_module_level=True)

from bitsback.integrations.fsspec import ArchiveFileSystem
from bitsback.integrations.fuse import Mounted


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuse")
    (folder / "in").mkdir()
    (folder / "in" / "text").write_text("some text")
    (folder / "in" / "link").symlink_to("text")
    bitsback.compress(folder / "in", folder / "a.bba")
    return folder / "a.bba"


def test_what_the_kernel_is_told(archive: Path) -> None:
    with archive.open("rb") as file:
        mounted = Mounted(ArchiveFileSystem(file), "")
        (name,) = (one for one in mounted.fs.find("") if one.endswith("/text"))
        link = name.removesuffix("text") + "link"
        assert stat.S_ISLNK(mounted.getattr("/" + link)["st_mode"]) and mounted.readlink("/" + link) == "text"
        assert mounted.getattr("/" + name)["st_size"] == 9
        handle = mounted.open("/" + name, os.O_RDONLY)
        assert mounted.read("/" + name, 4, 5, handle) == b"text"
        for failing, code in ((lambda: mounted.open("/" + name, os.O_WRONLY), errno.EROFS),
                              (lambda: mounted.getattr("/no"), errno.ENOENT)):  # fmt: skip
            with pytest.raises(fuse.FuseOSError) as error:
                failing()
            assert error.value.errno == code


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK) or not shutil.which("fusermount"), reason="needs FUSE")
def test_mounted(archive: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bitsback", "mount", str(archive), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            end = time.monotonic() + 20
            while not os.path.ismount(tmp_path) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            if not os.path.ismount(tmp_path):
                pytest.skip("this system does not let us mount")
            found = {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
        finally:
            subprocess.run(["fusermount", "-u", tmp_path], capture_output=True)
            process.kill()
    assert found == {"text": "some text", "link": "some text"}
