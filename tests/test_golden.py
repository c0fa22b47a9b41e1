"""Archives of every released version decode, for ever, to the bytes that they decoded to then."""

import hashlib
import json
from pathlib import Path

import pytest

import bitsback
from bitsback.models.search import RETIRED, ZOO

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = ["v0.1", "v0.2", "v0.3", "v0.4"]
WHOLE = ["v0.1", "v0.2", "v0.3"]
"""Those of which there is an archive of everything; of the others there is only what was new."""
CASES = [
    pytest.param(version, archive, files, id=f"{version}-{archive}")
    for version in VERSIONS
    for archive, files in json.loads((GOLDEN / version / "manifest.json").read_text()).items()
]


@pytest.mark.parametrize(("version", "archive", "files"), CASES)
def test_old_archives_decode(version: str, archive: str, files: dict[str, str], tmp_path: Path) -> None:
    bitsback.decompress(GOLDEN / version / archive, tmp_path)
    found = {
        str(path.relative_to(tmp_path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == files


@pytest.mark.parametrize("version", WHOLE)
def test_the_golden_archives_use_every_route_and_model(version: str) -> None:
    """Or they would not protect what they are there for. A model that was shipped once is shipped for ever."""
    routes: set[str] = set()
    models: set[str] = set()
    for path in (GOLDEN / version).glob("*.bba"):
        with bitsback.open(path) as archive:
            for member in archive.members:
                routes |= set(member.routes)
                models |= set(member.models)
    assert routes >= {"model", "predictor", "packed", "stored"}
    shipped = {bitsback.Model.load(path).id for path in ZOO.glob("*.bbm")}
    retired = {bitsback.Model.load(path).id for path in (ZOO / RETIRED).glob(f"*-{version[1:]}.bbm")}
    if version == WHOLE[-1]:
        assert models == shipped
    assert retired <= models <= shipped | retired


def test_the_golden_archive_of_0_4_has_memories() -> None:
    with bitsback.open(GOLDEN / "v0.4" / "plots.bba") as archive:
        (model_id,) = {model for member in archive.members for model in member.models}
        assert archive[0].shape == (64, 64, 3)  # reading takes the model out of the archive
        model = archive.library.find(model_id)
    assert isinstance(model, bitsback.Model)
    assert model.config.version == 4
    assert model.context.spec.memories
