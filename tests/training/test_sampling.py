import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'bitsback[train]'")

from bitsback.kinds.context.codec import ContextCodec  # noqa: E402
from bitsback.kinds.context.network import MARGIN, ContextNetwork, companding, plane  # noqa: E402
from bitsback.kinds.likelihoods import BernoulliSpec, MixtureSpec  # noqa: E402
from bitsback.training.architecture import candidates, plain_spec  # noqa: E402
from bitsback.training.layers import UNIT  # noqa: E402
from bitsback.training.sampling import PLAIN_SHARE, surveyor  # noqa: E402


@pytest.mark.parametrize(("channels", "number"), [(1, 0), (1, 1), (3, 0), (3, 1)])
def test_features_are_those_of_the_coding_path(channels: int, number: int) -> None:
    """Of images of several sizes, with all kinds of taps; as the planes of each image by itself have them."""
    architecture = candidates(channels, 256, 32, 0.5, "small")[number]
    spec, likelihood = architecture.spec, architecture.likelihood
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 9, (7 + k, 6, channels), np.uint8) * 25 for k in range(3)]
    gatherer = surveyor(spec, channels, likelihood, threads=2)(images)
    features, x, reference = gatherer(np.arange(len(gatherer.samples)))
    from bitsback.training.context import TrainableContext

    weights = TrainableContext(spec, channels, likelihood).export()
    network = ContextNetwork(spec, channels, likelihood.parameters, companding(), weights)
    start = 0
    for image in images:
        height, width, _ = image.shape
        planes = ContextCodec(network, (1, *image.shape)).survey(image[None]).astype(np.int64)[:, 0]
        rows, columns = (part.ravel() + MARGIN for part in np.indices((height, width)))
        here = slice(start, start + height * width)
        start += height * width

        def read(tap, planes=planes, rows=rows, columns=columns):
            return planes[plane(tap, channels), rows + tap.dy, columns + tap.dx]

        for c in range(channels):
            expected = np.stack([read(f.a) - read(f.b) for f in spec.features[c]], 1).clip(-4096, 4095)
            found = features[c][here].numpy() * UNIT
            np.testing.assert_array_equal(found, companding()[expected + 4096])
            assert len(np.unique(found)) > 5
            np.testing.assert_array_equal(x[here, c], image[..., c].ravel())
            anchors = spec.anchors[c] if spec.anchors else ()
            for k, tap in enumerate(anchors):
                np.testing.assert_array_equal(reference[here, c, k], read(tap))


@pytest.mark.parametrize("likelihood", [BernoulliSpec(), MixtureSpec(3)], ids=str)
def test_a_feature_map_is_not_asked_for(likelihood: BernoulliSpec | MixtureSpec) -> None:
    spec = plain_spec((8,), maps=4)
    images = np.random.default_rng(0).integers(0, likelihood.levels, (3, 7, 6, 1), np.uint8)
    (features,), x, _ = surveyor(spec, 1, likelihood)(images)(np.arange(3 * 42))
    assert features.shape == (3 * 42, len(spec.features[0]))
    np.testing.assert_array_equal(x[:, 0], images.ravel())


def test_thinned_pixels_are_a_fair_sample() -> None:
    images = np.zeros((500, 20, 20, 1), np.uint8)
    images[:, 8:12, 8:12] = 100
    gatherer = surveyor(plain_spec((8,)), 1, MixtureSpec(1))(images)
    picks, weights = gatherer.thinned(np.random.default_rng(0))
    assert len(picks) < images.size / 2
    cost = np.random.default_rng(1).random(images.size)
    assert cost[picks] @ weights == pytest.approx(cost.sum(), rel=0.01)
    plain = gatherer.samples.plain[picks]
    assert (weights[plain] == 1 / PLAIN_SHARE).all() and (weights[~plain] == 1).all()
    busy = ~gatherer.samples.plain.reshape(500, 20, 20)[0]
    assert busy[8:12, 8:12].any() and busy[12:14].any() and not busy[:8].any() and not busy[14:].any()
