"""Nothing is compiled for these tests: where no model takes images, they are kept plain."""

import pytest

from bitsback.archive import writer
from bitsback.archive.library import PLAIN


@pytest.fixture(autouse=True)
def _no_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "kernels" not in request.keywords:
        monkeypatch.setattr(writer, "ADAPTIVE", PLAIN)
