"""Wrong requests, at random and from the server's own description: each is told in one line what is wrong."""

from __future__ import annotations

from pathlib import Path

from tests.host.serving.served import bundle, serving
from tests.host.serving.test_clients import client, needs_clients


@needs_clients
def test_schemathesis_finds_nothing_that_the_document_does_not_allow(tmp_path: Path) -> None:
    with serving(bundle(tmp_path).path) as address:
        told = client("contract.py", address, "8")  # of each operation; by hand as many as there is time for
    assert told["POST 400"] > 2 and told["GET 200"] > 5
    assert set(told) <= {f"{method} {code}" for method in ("GET", "POST") for code in (200, 400, 404, 405, 413, 415)}
