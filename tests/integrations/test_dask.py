import numpy as np
import pytest
from click.testing import CliRunner

import bitsback
from bitsback.cli.app import app

distributed = pytest.importorskip("distributed")

IMAGES = (np.random.default_rng(5).integers(0, 2, (12, 28, 28)) * 255).astype(np.uint8)
HOW = {"model": "digits", "block": 3136}


@pytest.fixture(scope="module")
def cluster():
    """Two workers of a thread each, in this process: those of processes are in benchmarks/distributed.py."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp", memory_limit=None
    ) as cluster:
        yield cluster


def test_a_client_is_an_executor(cluster):
    with distributed.Client(cluster) as client:
        assert bitsback.compress(IMAGES, **HOW, executor=client) == bitsback.compress(IMAGES, **HOW)
        assert sum(client.run(lambda dask_worker: len(dask_worker.state.log)).values()) > 0


def test_by_the_address_of_its_scheduler(cluster, tmp_path):
    np.save(tmp_path / "digits.npy", IMAGES)
    address = cluster.scheduler_address.removeprefix("tcp://")
    command = ["compress", str(tmp_path / "digits.npy"), "-m", "digits", "--block", "3136", "-o"]
    for name, more in {"here": [], "there": ["--executor", f"dask://{address}"]}.items():
        done = CliRunner().invoke(app, [*command, str(tmp_path / name), *more])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_nobody_there(tmp_path, monkeypatch):
    monkeypatch.setattr("bitsback.integrations.dask.TIMEOUT", 0.2)
    (tmp_path / "a").touch()
    for url, words in {"dask://127.0.0.1:9": "no scheduler answers", "ray://x": "not of the form"}.items():
        done = CliRunner().invoke(app, ["compress", str(tmp_path / "a"), "--executor", url])
        assert words in str(done.exception) or words in done.output
