import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitsback
from bitsback.archive.container import ContainerReader, ContainerWriter, Kind
from bitsback.cli.output import size_words
from bitsback.kinds.vae.config import SelfTest
from bitsback.models import Model, search
from helpers import tiny_model_file, with_config
from models.context_models import context_file, vae_file
from models.hostile import MAKERS, hostile

Run = Callable[..., Any]

OWN = context_file((1, "median", 0, 256), 8, 12)
"""A model with random weights. It fits nothing in the world but the images that are drawn from it."""
MODEL = Model.from_bytes(OWN)
NAME, SIZE = "tiny-context-1", size_words(len(OWN))


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of models, which is not there yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "bitsback" / "models"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A model file and its card, not installed."""
    path = tmp_path / "mine.bbm"
    path.write_bytes(OWN)
    card = {"name": "mine", "sha256": MODEL.id, "data": {"images": 12, "name": "dots"}, "log": [[1, 2], [3, 4]]}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture
def packed(run: Run, mine: Path, tmp_path: Path) -> Path:
    """An archive of images that only that model can decode."""
    np.save(tmp_path / "images.npy", MODEL.draw(9)[..., 0])
    assert run("compress", "images.npy", "-m", mine, "-q", "--no-embed-model").code == 0
    return tmp_path / "images.npy.bba"


# What there is.


def test_the_table(run: Run, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user.mkdir(parents=True)
    (user / "mine.bbm").write_bytes(OWN)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "colour.bbm").write_bytes(context_file((3, "regression", 0, 256)))
    monkeypatch.setenv("BITSBACK_MODEL_PATH", str(tmp_path / "other"))
    done = run("models")
    assert (done.code, done.err) == (0, [])
    head, *rows = [line.split("  ") for line in done.out.decode().splitlines()]
    rows = [[cell.strip() for cell in row if cell] for row in rows]
    assert [cell.strip() for cell in head if cell] == ["name", "images", "size", "where", "id"]
    assert rows[0][:2] == ["colour", "any size RGB, 8 bits"] and rows[0][3] == "path"
    assert rows[1] == ["mine", "8x12 grey, 8 bits", SIZE, "user", f"sha256:{MODEL.id[:12]}"]
    where = {row[0]: row[3] for row in rows}
    assert where["photos"] == "shipped"
    assert str(user / "mine.bbm") in run("models", "-v").out.decode()


def test_json(run: Run, user: Path, mine: Path) -> None:
    rows = [json.loads(line) for line in run("models", "--json").out.splitlines()]
    assert {row["name"]: row["where"] for row in rows}["thumbnails"] == "shipped"
    facts = json.loads(run("models", "--json", mine).out)
    assert facts["id"] == MODEL.id and facts["where"] is None and facts["file"] == str(mine)
    assert (facts["shape"], facts["levels"], facts["latents"]) == ([8, 12, 1], 256, 0)
    assert set(facts["macs"]) == {"context"}
    assert facts["card"]["data"] == {"images": 12, "name": "dots"}


@pytest.mark.parametrize("name", ["zip", "version 9", "flipped in a weight", "another field", "empty"])
def test_a_bad_file_on_the_search_path_is_one_warning(run: Run, user: Path, name: str) -> None:
    user.mkdir(parents=True)
    (user / "junk.bbm").write_bytes(hostile(name))
    done = run("models")
    assert done.code == 0 and b"photos" in done.out and b"junk" not in done.out
    assert len(done.err) == 1 and done.err[0].startswith(f"warning: left out {user / 'junk.bbm'}: ")


def test_a_card(run: Run, user: Path, mine: Path) -> None:
    done = run("models", mine)
    assert (done.code, done.err) == (0, [])
    lines = done.out.decode().splitlines()
    assert f"sha256      {MODEL.id}" in lines
    assert "model       no latents; mixture of 2 logistics" in lines
    assert "  data.name    dots" in lines and "  log          (2 entries)" in lines
    assert not any("name         mine" in line for line in lines)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiny_model_file(2), "6 latents of 8 bits; Bernoulli"),
        (vae_file(256), "context "),
        (context_file((3, "regression", 0, 256)), "regression on "),
        (context_file((1, "median", 0, 256)), "median"),
        (context_file((1, None, 0, 2), 8, 12), "no latents; Bernoulli"),
    ],
)
def test_all_kinds_of_models_are_described(run: Run, tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.bbm").write_bytes(data)
    assert words in run("models", "a.bbm").out.decode()


def test_shipped_cards_by_name(run: Run) -> None:
    done = run("models", "photos", "digits-binary")
    assert done.code == 0
    first, second = done.out.decode().split("\n\n")
    assert "shipped" in first and "held_out_bits_per_dim" in first
    assert "shipped" in second and "encoder" in second


@pytest.mark.parametrize(
    ("card", "warned"),
    [
        (b"not JSON", True),
        (b"[1, 2]", True),
        (b"\xff\xfe", True),
        (b"[" * 100_000, True),
        (b'{"a": ' * 500 + b"1" + b"}" * 500, False),
        (b'{"a": NaN, "b": Infinity, "c": null}', False),
        (json.dumps({"sha256": "0" * 64}).encode(), True),
        (json.dumps({"sha256": ["what"], "x": 1}).encode(), True),
        (json.dumps({str(n): n for n in range(9999)}).encode(), False),
        (json.dumps({"clear\x1b[2J": "screen\x1b[2J\r\n", "long": "x" * 9999, "\ud800": "\udfff"}).encode(), False),
        (b" " * (1 << 20) + b"{}", True),
    ],
)
def test_cards_may_hold_anything(run: Run, mine: Path, card: bytes, warned: bool) -> None:
    mine.with_suffix(".json").write_bytes(card)
    done = run("models", mine)
    assert done.code == 0 and len(done.err) == warned
    assert b"\x1b" not in done.out
    lines = done.out.decode().splitlines()
    assert len(lines) < 220 and all(len(line) < 1000 for line in lines)
    assert json.loads(run("models", mine, "--json", "-q").out, parse_constant=pytest.fail)["id"] == MODEL.id


def test_an_unknown_name(run: Run) -> None:
    done = run("models", "marvel")
    assert done.code == 1 and len(done.err) == 1 and "'marvel'" in done.err[0] and "photos" in done.err[0]
    assert run("models", "nowhere/x.bbm").err == ["bitsback: nowhere/x.bbm: no such file"]


# Strangers' files.


@pytest.mark.parametrize("name", MAKERS)
def test_a_hostile_file_is_refused_in_one_line_wherever_it_is_given(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "x.bbm").write_bytes(hostile(name))
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 12), np.uint8))
    for arguments in (("models", "x.bbm"), ("models", "--add", "x.bbm"), ("compress", "a.npy", "--model", "x.bbm")):
        done = run(*arguments)
        assert done.code == 1 and len(done.err) == 1 and done.out == b""
        assert done.err[0].startswith("bitsback: x.bbm: ") and len(done.err[0]) < 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "x.bbm"]


def test_a_pickle_under_its_own_name_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(hostile("pickle"))
    done = run("models", "weights.pt")
    assert done.code == 1 and len(done.err) == 1 and "not a .bbm file" in done.err[0]


@pytest.mark.parametrize("name", MAKERS)
def test_a_hostile_embedded_model_is_refused_in_one_line(run: Run, packed: Path, tmp_path: Path, name: str) -> None:
    """Every checksum is right, and the chunk has the identity that the block asks for."""
    reader = ContainerReader(packed.read_bytes())
    stream = io.BytesIO()
    writer = ContainerWriter(stream, reader.header)
    writer.add(Kind.MODEL, bytes.fromhex(MODEL.id), hostile(name))
    for chunk in reader.chunks:
        writer.add(Kind(chunk.kind), chunk.head, reader.payload(chunk), chunk.flags)
    writer.finish()
    (tmp_path / "bad.bba").write_bytes(stream.getvalue())
    before = sorted(path.name for path in tmp_path.iterdir())
    for arguments in (("decompress", "bad.bba", "-C", "out"), ("test", "bad.bba")):
        done = run(*arguments)
        assert done.code == 1 and done.err and all("an embedded model: " in line for line in done.err[:1])
        assert all(len(line) < 500 and line.isprintable() for line in done.err)
        assert not (tmp_path / "out" / "images.npy").exists()
    for command in ("list", "info"):
        assert run(command, "bad.bba").code == 0
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_model_that_does_not_compute_what_it_announces_is_not_installed(run: Run, user: Path, tmp_path: Path) -> None:
    """It is sound, but its self-test is not."""
    wrong = with_config(tiny_model_file(), self_test=SelfTest("0" * 64, "0" * 64))
    (tmp_path / "wrong.bbm").write_bytes(wrong)
    done = run("models", "--add", "wrong.bbm")
    assert done.code == 1 and len(done.err) == 1 and done.err[0].startswith("bitsback: wrong.bbm: no engine")
    assert not user.exists()


# Adding and removing.


def test_add_use_and_remove(run: Run, user: Path, mine: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", MODEL.draw(9)[..., 0])
    done = run("models", "--add", mine)
    assert done.code == 0 and done.err == [f"installed mine: 8x12 grey, 8 bits, {SIZE}, {user / 'mine.bbm'}"]
    assert sorted(path.name for path in user.iterdir()) == ["mine.bbm", "mine.json"]
    assert (user / "mine.bbm").read_bytes() == mine.read_bytes()
    assert json.loads((user / "mine.json").read_text())["data"]["name"] == "dots"
    mine.unlink()
    assert "data.name" in run("models", "mine").out.decode()
    assert run("compress", "images.npy", "--model", "mine", "-o", "by-name.bba", "--no-embed-model").code == 0
    assert run("test", "by-name.bba").code == 0
    assert run("models", "--remove", "mine").err == ["removed mine"]
    assert list(user.iterdir()) == []
    assert run("test", "by-name.bba").code == 1


def test_an_installed_model_is_a_candidate(run: Run, user: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.bbm").write_bytes(OWN)
    np.save(tmp_path / "images.npy", MODEL.draw(40)[..., 0])
    assert "adaptive" in run("compress", "images.npy", "-v", "-o", "before.bba").err[0]
    assert run("models", "--add", "odd.bbm", "-q").err == []
    for effort in ("fast", "normal", "max"):
        arguments = ("compress", "images.npy", "-v", "-e", effort, "-o", f"{effort}.bba", "--no-embed-model")
        assert run(*arguments).err[0].startswith("images.npy: tiny-context-1 (")
        assert (tmp_path / f"{effort}.bba").stat().st_size < (tmp_path / "before.bba").stat().st_size


def test_add_overwrites_only_with_force(run: Run, user: Path, mine: Path, tmp_path: Path) -> None:
    assert run("models", "--add", mine).code == 0
    mine.write_bytes(tiny_model_file(2))
    mine.with_suffix(".json").unlink()
    done = run("models", "--add", mine)
    assert (done.code, done.err) == (1, [f"bitsback: {user / 'mine.bbm'}: is already there (--force overwrites)"])
    assert (user / "mine.bbm").read_bytes() == OWN and (user / "mine.json").exists()
    assert run("models", "--add", "--force", mine).code == 0
    assert (user / "mine.bbm").read_bytes() == tiny_model_file(2) and not (user / "mine.json").exists()
    assert run("models", "--add", "--force", user / "mine.bbm").code == 0
    assert (user / "mine.bbm").read_bytes() == tiny_model_file(2)
    assert run("models", "-q").err == []


def test_add_without_a_sound_card(run: Run, user: Path, mine: Path) -> None:
    mine.with_suffix(".json").write_text("not JSON")
    done = run("models", "--add", mine)
    assert done.code == 0 and done.err[0].startswith("warning: ") and len(done.err) == 2
    assert [path.name for path in user.iterdir()] == ["mine.bbm"]


def test_add_says_what_has_the_same_name(run: Run, user: Path, tmp_path: Path) -> None:
    (tmp_path / "photos.bbm").write_bytes(OWN)
    done = run("models", "--add", "photos.bbm")
    assert done.code == 0 and str(search.ZOO / "photos.bbm") in done.err[1] and "same name" in done.err[1]
    assert Model.load("photos").id == MODEL.id


@pytest.mark.parametrize("name", ["none.bbm", "auto.bbm", "mine.pt", "mine", ".bbm"])
def test_names_that_could_not_be_used_are_refused(run: Run, user: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(OWN)
    done = run("models", "--add", name)
    assert done.code == 1 and len(done.err) == 1 and done.err[0].startswith(f"bitsback: {name}: the name")
    assert not user.exists()


def test_nothing_half_written_is_left_behind(run: Run, user: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run("models", "--add", mine)
    assert done.code == 1 and len(done.err) == 1 and "no space left" in done.err[0]
    assert list(user.iterdir()) == []


@pytest.mark.parametrize("name", ["photos", "nowhere", "../../../mine", "mine.bbm"])
def test_only_the_users_own_models_are_removed(run: Run, user: Path, mine: Path, name: str) -> None:
    assert run("models", "--add", mine).code == 0
    done = run("models", "--remove", "mine", name)
    assert done.code == 1 and len(done.err) == 1 and name in done.err[0]
    assert (user / "mine.bbm").exists() and mine.exists() and (search.ZOO / "photos.bbm").exists()


def test_a_file_that_is_no_model_can_be_removed(run: Run, user: Path) -> None:
    user.mkdir(parents=True)
    (user / "junk.bbm").write_bytes(b"junk")
    assert run("models", "--remove", "junk").code == 0
    assert list(user.iterdir()) == []


@pytest.mark.parametrize("arguments", [("--add",), ("--remove",), ("--add", "--remove", "mine.bbm")])
def test_wrong_usage(run: Run, mine: Path, arguments: tuple[str, ...]) -> None:
    done = run("models", *arguments)
    assert (done.code, done.out, len(done.err)) == (2, b"", 1)


def test_a_user_without_a_home(run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "user_folder", lambda: None)
    assert "XDG_DATA_HOME" in run("models", "--add", mine).err[0]
    assert run("models").code == 0


# Models that archives need.


@pytest.mark.parametrize("command", [("decompress", "-C", "out"), ("test",), ("info",), ("list",)])
def test_a_model_is_given_to_the_commands_that_read(
    run: Run, packed: Path, mine: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "other.bbm").write_bytes(tiny_model_file(2))
    done = run(command[0], packed, *command[1:], "-m", "other.bbm", "--model", mine)
    assert done.code == 0
    if command[0] == "decompress":
        assert (tmp_path / "out" / "images.npy").read_bytes() == (tmp_path / "images.npy").read_bytes()
    elif command[0] == "info":
        assert f"model     tiny-context-1  sha256:{MODEL.id}  given" in done.out.decode()
    elif command[0] == "list":
        assert "context tiny-context-1" in done.out.decode()
    assert run(command[0], packed, *command[1:], "-m", "nowhere.bbm").err == ["bitsback: nowhere.bbm: no such file"]


@pytest.mark.parametrize("command", [("decompress", "-C", "out"), ("test",)])
def test_a_missing_model_and_the_ways_out(run: Run, packed: Path, command: tuple[str, ...]) -> None:
    done = run(command[0], packed, *command[1:])
    assert done.code == 1 and len(done.err) == 1
    for words in (MODEL.id, "bitsback models --add FILE", "-m FILE", "--embed-model"):
        assert words in done.err[0]
    assert "not found" in run("info", packed).out.decode()
    assert f"sha256:{MODEL.id[:8]}" in run("list", packed).out.decode()


def test_compress_says_that_a_model_is_to_be_kept(run: Run, packed: Path, mine: Path, user: Path) -> None:
    arguments = ("compress", "images.npy", "-m", mine, "-f")
    note = "the archive needs the model tiny-context-1, which is not installed: keep its file"
    assert run(*arguments, "--no-embed-model").err[1:] == [note]
    assert len(run(*arguments).err) == 1  # it is inside
    assert run("models", "--add", mine).code == 0
    assert len(run(*arguments, "--no-embed-model").err) == 1


def test_embedding_says_what_it_costs(run: Run, packed: Path, mine: Path, tmp_path: Path) -> None:
    size = mine.stat().st_size
    done = run("compress", "images.npy", "-m", mine, "--embed-model", "-f", "--json")
    assert len(done.err) == 1 and f", with the model {NAME} ({SIZE}) inside, " in done.err[0]
    facts = json.loads(done.out)
    assert facts["models"] == [{"id": MODEL.id, "name": "tiny-context-1", "embedded": size}]
    assert facts["bytes_out"] == packed.stat().st_size > size
    mine.unlink()
    assert run("test", packed).code == 0
    assert f"embedded, {SIZE}" in run("info", packed).out.decode()
    (facts,) = json.loads(run("info", packed, "--json").out)["models"]
    assert (facts["name"], facts["found"], facts["bytes"]) == ("tiny-context-1", "embedded", size)
    assert "context tiny-context-1" in run("list", packed).out.decode()


def test_embedding_where_no_model_is_used(run: Run, folder: Path) -> None:
    done = run("compress", "in", "--embed-model", "--json")
    assert done.err[-1] == "no model was used, so none is in the archive"
    assert json.loads(done.out)["models"] == []


def test_junk_on_the_search_path_breaks_neither_way(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    junk = tmp_path / "junk"
    junk.mkdir()
    for number, name in enumerate(MAKERS):
        (junk / f"{number}.bbm").write_bytes(hostile(name))
    (junk / "folder.bbm").mkdir()
    (junk / "loop.bbm").symlink_to("loop.bbm")
    monkeypatch.setenv("BITSBACK_MODEL_PATH", os.pathsep.join([str(junk), str(folder / "text.txt"), "nowhere"]))
    done = run("compress", "in")
    assert done.code == 0 and len(done.err) == 1
    assert run("decompress", "in.bba", "-C", "out").code == 0
    assert len(bitsback.open((tmp_path / "in.bba").read_bytes()).names) == 7
