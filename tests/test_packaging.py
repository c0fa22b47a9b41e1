"""What systems are told of the command and its files."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path

import numpy
import pytest

import bitsback
from bitsback.archive.container import MAGIC

ROOT = Path(__file__).parents[1]
FILES = ROOT / "packaging"


def test_the_manual_is_that_of_the_command() -> None:
    if tuple(map(int, version("click").split(".")[:2])) < (8, 5):
        pytest.skip("the manual is made with click 8.5, and older ones tell nothing of arguments")
    made = subprocess.run([sys.executable, FILES / "manual.py"], capture_output=True, text=True, check=True).stdout
    assert made == (FILES / "bitsback.1").read_text("utf-8"), "python packaging/manual.py > packaging/bitsback.1"
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-z"], input=made, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("file"), reason="needs file(1)")
def test_file_knows_archives(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bitsback.compress(__file__))
    for more, told in {(): "bitsback archive, format 2.", ("--mime-type",): "application/vnd.bitsback"}.items():
        done = subprocess.run(
            ["file", "-b", "-m", FILES / "bitsback.magic", *more, tmp_path / "a"], capture_output=True
        )
        assert done.stdout.decode().startswith(told)


def test_the_magic_is_the_formats() -> None:
    (match,) = ElementTree.parse(FILES / "bitsback.xml").findall(".//{*}match")
    assert match.attrib["value"].encode().decode("unicode_escape").encode("latin-1") == MAGIC


def test_the_recipe_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    recipe = (FILES / "conda" / "recipe.yaml").read_text("utf-8")
    assert f'version: "{project["version"]}"' in recipe
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    names = {"xxhash": "python-xxhash"}
    wanted = [re.sub(r"^[a-z]+", lambda found: names.get(found[0], found[0]), one) for one in project["dependencies"]]
    assert [line.strip(" -").replace(" ", "") for line in run.splitlines()[1:]] == wanted


def test_what_was_tested_can_be_told() -> None:
    made = subprocess.run([sys.executable, FILES / "tested.py"], capture_output=True, check=True).stdout
    found = {one["name"].lower(): one for one in json.loads(made)["components"]}
    assert found["numpy"]["version"] == numpy.__version__
    assert all(re.fullmatch("[0-9a-f]{64}", one["hashes"][0]["content"]) for one in found.values())


def test_what_zarr_is_told_is_what_the_serializer_writes() -> None:
    pytest.importorskip("zarr")
    from bitsback.archive.choice import EFFORTS
    from bitsback.integrations.zarr import NAME, Serializer

    (schema, name) = json.loads((FILES / "zarr" / "schema.json").read_text("utf-8"))["oneOf"]
    written = Serializer().to_dict()
    assert written["name"] == NAME == name["const"] == schema["properties"]["name"]["const"]
    settings = schema["properties"]["configuration"]["properties"]
    assert written["configuration"].keys() == settings.keys() and settings["effort"]["enum"] == [*EFFORTS]
