"""Blocks coded by the workers of a Dask cluster: ``bitsback compress --executor dask://host:8786``, or a client.

A ``distributed.Client`` is an executor as it is: :func:`bitsback.compress` takes one. Tasks are pure and have keys by
what they are of, so Dask does again what a lost worker had, and nothing twice. Workers need the same version of
bitsback, and are best started with one thread each (``dask worker --nthreads 1``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client

from bitsback.errors import BitsBackError

TIMEOUT = 20
"""Seconds in which the scheduler must answer, at first and after it was lost."""


@contextmanager
def connect(address: str) -> Iterator[Any]:
    """A client of the scheduler at ``address``, host:port. BitsBackError if nobody answers there."""
    # Blocks are large on purpose, and what is lost is told by who asked for it
    settings = {"distributed.admin.large-graph-warning-threshold": "1GB", "distributed.comm.timeouts.connect": TIMEOUT}
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(settings):
        try:
            client = Client(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BitsBackError(f"dask://{address}: no scheduler answers: {error}") from None
        with client:
            yield client


__all__ = ["connect"]
