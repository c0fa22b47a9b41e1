"""No test sees the models that the user has installed; properties are tried on 40 examples, if they say nothing else.

``--hypothesis-profile=thorough`` tries 1,000.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

LOADED = [HealthCheck.too_slow]
"""What only says that the machine is busy."""

settings.register_profile("quick", max_examples=40, suppress_health_check=LOADED)
settings.register_profile("thorough", max_examples=1000, suppress_health_check=LOADED)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def _no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITSBACK_MODEL_PATH", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(_nowhere(tmp_path_factory)))


def _nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "no-models"
