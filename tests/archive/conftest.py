"""Nothing is compiled for these tests, unless they ask for it: where no model takes images, they are kept plain."""

from collections.abc import Iterator

import pytest

from bitsback.archive import writer
from bitsback.archive.library import ADAPTIVES, PLAIN


@pytest.fixture(autouse=True, scope="module")
def _no_kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "KERNELS", False):
            patch.setattr(writer, "ADAPTIVE", PLAIN)
            patch.setattr(writer, "ADAPTIVES", dict.fromkeys(ADAPTIVES, PLAIN))
        yield
