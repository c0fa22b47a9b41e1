"""No test sees the models that the user has installed."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITSBACK_MODEL_PATH", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(_nowhere(tmp_path_factory)))


def _nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "no-models"
