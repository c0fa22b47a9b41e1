"""``bitsback view``."""

from pathlib import Path

import pytest

from .conftest import Run


def test_a_page_as_a_file(run: Run, archive: Path, tmp_path: Path) -> None:
    done = run("view", archive, "--export", "page.html")
    assert done.code == 0 and done.err[0].startswith("page.html: ")
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    assert run("view", archive, "--export", "page.html").code == 1
    assert run("view", archive, "--export", "page.html", "--force").code == 0


def test_what_there_is_not(run: Run, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text("text")
    assert run("compress", "text").code == 0
    assert run("view", "text.bba").err == ["bitsback: text.bba: there are no images in this archive"]
    monkeypatch.setitem(__import__("sys").modules, "starlette", None)
    assert run("view", archive).err == [f"bitsback: {archive}: the page needs starlette: pip install 'bitsback[view]'"]
