"""The scripts that trained the shipped models run, on a little data for a few steps, and leave a model and a card."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.data import mnist
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.vae.config import VAEConfig
from bitsback.models import Model
from bitsback.models.search import ZOO
from helpers import idx

RECIPES = Path(__file__).parents[2] / "recipes"


def run(script: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", RECIPES / script, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(folder: Path, name: str) -> Model:
    model = Model.load(folder / f"{name}.bbm")
    card = json.loads((folder / f"{name}.json").read_text())
    assert (card["name"], card["sha256"], card["bytes"]) == (name, model.id, len(model.data))
    assert card["training"]["done"] == card["log"][-1][0] and card["held_out_bits_per_dim"] > 0
    assert card["data"]["name"] and len(card["data"]["sha256"]) == 64
    return model


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, count in ((mnist.TRAIN, 200), (mnist.TEST, 10)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 8:20, 12:16] = rng.integers(100, 256, (count, 12, 4))
        idx(tmp_path / f"{name}.gz", images)
    return tmp_path


@pytest.mark.parametrize("name", ["plain-vae", "plain-vae-8-bit", "digits-binary"])
def test_models_with_latents(name: str, digits: Path) -> None:
    given = ["--data", digits] if name == "digits-binary" else []
    said = run("vae.py", name, *given, "--out", digits / "out", "--epochs", 1, "--limit", 200)
    model = made(digits / "out", name)
    assert model.has_latents and model.shape == (28, 28, 1)
    assert model.config.sees_neighbours == (name == "digits-binary")
    assert "test set at" in said


@pytest.mark.parametrize("name", ["photos-grey", "photos-fast"])
def test_models_without_latents(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for k in range(6):
        picture = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((40, 32))
        picture.save(tmp_path / "images" / f"{k}.png")
    np.save(tmp_path / "images.npy", np.stack([np.asarray(Image.open(p)) for p in (tmp_path / "images").iterdir()]))
    common = ["--data", tmp_path / "images.npy", "--held-out", 2, "--batch", 256]
    run("context.py", name, *common, "--out", tmp_path / "out", "--steps", 4)
    assert made(tmp_path / "out", name).accepts((32, 40, 1 if name == "photos-grey" else 3), np.uint8)


def test_a_model_grows_from_a_smaller_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (4, 24, 24, 3), np.uint8))
    common = ["--data", tmp_path / "images.npy", "--held-out", 1, "--batch", 256, "--out", tmp_path / "out"]
    run("context.py", "photos-start", *common, "--steps", 2)
    small = made(tmp_path / "out", "photos-start")
    (tmp_path / "out" / "checkpoint.pt").unlink()
    start = tmp_path / "out" / "photos-start.bbm"
    run("context.py", "photos", *common, "--steps", 1, "--learning-rate", 0, "--init", start)
    large = made(tmp_path / "out", "photos")
    x = rng.integers(0, 256, (1, 16, 16, 3), np.uint8)
    assert float(large.elbo_bits(x)[0]) == pytest.approx(float(small.elbo_bits(x)[0]), rel=0.01)


def test_a_model_in_phases_is_trained_in_two_stages(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (6, 12, 12, 3), np.uint8))
    common = ["--data", tmp_path / "images.npy", "--held-out", 1, "--batch", 2]
    run("phases.py", "thumbnails-fast", *common, "--out", tmp_path / "start", "--steps", 2, "--quantise-from", 1)
    start = made(tmp_path / "start", "thumbnails-fast")
    given = ["--init", tmp_path / "start" / "thumbnails-fast.bbm"]
    run("phases.py", "thumbnails-fast", *common, *given, "--out", tmp_path / "out", "--steps", 1, "--learning-rate", 0)
    found = made(tmp_path / "out", "thumbnails-fast")
    assert all(np.array_equal(found.tensors[name], tensor) for name, tensor in start.tensors.items())


def test_recipes_are_of_the_models_that_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(RECIPES)
    found = {}
    for script in ("context", "phases", "vae"):
        found |= runpy.run_path(str(RECIPES / f"{script}.py"))["RECIPES"]
    for model in (Model(path.read_bytes()) for path in sorted(ZOO.glob("*.bbm"))):
        recipe, config = found[model.name], model.config
        if isinstance(config, VAEConfig):
            assert (recipe.encoder, recipe.decoder) == (config.encoder, config.decoder)
            assert (recipe.context, recipe.likelihood) == (config.context, config.likelihood)
        else:
            assert recipe.spec == (config.phases if isinstance(config, PhasesConfig) else config.context)
            assert recipe.components == config.likelihood.components
