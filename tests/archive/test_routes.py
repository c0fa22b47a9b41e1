from types import SimpleNamespace

import numpy as np
import pytest

from bitsback.archive import Library
from bitsback.archive.members import RouteCode
from bitsback.archive.routes import ModelRoute, PlainRoute, PredictorRoute, little_endian, route_of
from bitsback.errors import ModelError, ModelNotFoundError


def test_given_models_are_the_only_candidates(make: SimpleNamespace) -> None:
    grey, two = make.model(), make.model(levels=2)
    library = Library([grey, two])
    assert library.candidates((8, 8, 1), "uint8", None) == [grey]
    assert library.candidates((8, 8, 1), "uint8", 2) == [grey, two]
    assert library.candidates((8, 8, 1), "uint16", None) == []
    assert library.given == (grey, two) and not library.forced
    assert library.find(two.id) is two


def test_models_that_are_nowhere_are_named() -> None:
    for library in (Library(), Library(shipped=False)):
        with pytest.raises(ModelNotFoundError, match="0" * 64):
            library.find("0" * 64)


def test_embedded_models_are_not_believed(make: SimpleNamespace) -> None:
    model = make.model()
    library = Library([model], shipped=False)
    library.add_file(model.id, b"not looked at: it is there already")
    with pytest.raises(ModelError):
        library.add_file("1" * 64, b"no model at all")
    with pytest.raises(ModelNotFoundError):
        library.find("1" * 64)


def test_routes_by_code(make: SimpleNamespace) -> None:
    model = make.model()
    library = Library([model], shipped=False)
    route = route_of(RouteCode.MODEL, bytes.fromhex(model.id), library)
    assert isinstance(route, ModelRoute) and route.model is model
    assert isinstance(route_of(RouteCode.PREDICTOR, None, library), PredictorRoute)
    assert isinstance(route_of(RouteCode.PLAIN, None, library), PlainRoute)


def test_checks_are_over_little_endian_samples() -> None:
    images = np.arange(300, dtype=np.uint16).reshape(1, 10, 30, 1)
    assert little_endian(images) == little_endian(images.astype(">u2")) == images.astype("<u2").tobytes()
    assert little_endian(images[:, ::-1]) == np.ascontiguousarray(images[:, ::-1]).astype("<u2").tobytes()
