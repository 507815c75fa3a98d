"""Dask's distributed: work on the processes of other machines."""

from __future__ import annotations

import importlib
from typing import Any

from bitswath.errors import BitswathError, DependencyError

__all__ = ["CONNECT_S", "connected"]

CONNECT_S = 30.0


def connected(address: str, error: type[BitswathError], extras: str, connect_s: float = CONNECT_S) -> Any:
    """A client of the scheduler at `address`, "tcp://HOST:PORT", that has workers; to be closed.

    Raises `DependencyError` without distributed, which `extras` bring, and `error` where nobody answers or there is no
    worker.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as missing:
        raise DependencyError(
            f"--cluster needs Dask's distributed: pip install 'bitswath[{extras}]' ({missing})"
        ) from missing
    if not address.rpartition(":")[2].isdecimal():
        raise error(f"{address}: expected the address of a Dask scheduler, tcp://HOST:PORT")
    try:
        client = distributed.Client(address, timeout=connect_s, set_as_default=False)
    except (OSError, ValueError) as refused:  # a time-out is an OSError
        reason = " ".join(str(refused).split())
        raise error(f"{address}: no Dask scheduler answers ({reason}); start 'dask scheduler'") from refused
    if not client.nthreads():
        client.close()
        raise error(f"{address}: the scheduler has no workers; start 'dask worker {address}'")
    return client
