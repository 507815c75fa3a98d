"""The page in a real Chromium: it shows what the server does, and classifies an image that is given to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle.bundle import load_bundle
from tests.host.serving.served import ask, bundle, frames_of, patches, serving, tensor
from tests.host.serving.test_clients import CLIENTS, MODEL, client

TOKEN = "0123456789abcdef"
needs_chromium = pytest.mark.skipif(
    not CLIENTS.exists() or not Path("/usr/bin/chromium").exists() or shutil.which("chromedriver") is None,
    reason="needs .venv-clients and Debian's chromium and chromium-driver, which ./scripts/test installs",
)


def land(folder: Path) -> tuple[Path, str]:
    """An image file, and its class."""
    made = load_bundle(f"zoo:{MODEL}")
    patch = made.codec.samples(np.random.default_rng(3), 2, made.manifest.input.patch_shape)[:1]
    path = folder / "patch.png"
    Image.fromarray(patch[0]).save(path)
    with open_accelerator(made, "emulator") as accelerator:
        return path, accelerator.classify(patch).names[0]


def check(told: dict[str, Any], expected: str) -> None:
    assert told["title"] == "bitswath serve"
    assert told["answer"] == expected and told["seen"] == expected
    assert told["scores"][0].startswith(expected) and len(told["scores"]) == 5
    assert "uint8 images 64 x 64 x 3" in told["card"] and "AnnualCrop" in told["card"]
    assert told["contrast_light"] >= 4.5 and told["contrast_dark"] >= 4.5
    assert told["phone_overflow"] <= 0
    assert told["elsewhere"] == []
    focused = " ".join(told["focused"])
    assert "select#model" in focused and "input#file" in focused and "summary#" in focused
    assert not any(where.endswith(" none") for where in told["focused"] if not where.startswith("body")), told[
        "focused"
    ]


@needs_chromium
def test_the_page_in_light_in_dark_on_a_phone_and_with_a_token(tmp_path: Path) -> None:
    image, expected = land(tmp_path)
    (tmp_path / "tokens").write_text(TOKEN)
    tokens = tmp_path / "tokens"
    with serving(f"zoo:{MODEL}") as address, serving(f"zoo:{MODEL}", token_file=tokens) as guarded:
        told = client("page.py", address, str(image), str(tmp_path), guarded, TOKEN)
    check(told, expected)
    assert told["console"] == []
    for name in ("light", "dark", "phone"):
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
        assert (pixels.mean() < 100) == (name != "light")
    assert told["hidden_without_token"] and told["answer_with_token"] == expected


def test_the_page_loads_nothing_from_elsewhere_and_may_not(tmp_path: Path) -> None:
    with serving(bundle(tmp_path).path) as address:
        page = ask(address, "/")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
            reply = ask(address, path)
            assert reply.status == 200 and reply.headers["Content-Type"].startswith(kind)
            assert b"http://" not in reply.body and b"https://" not in reply.body
        assert ask(address, "/page.py").status == 404


def test_what_came_last_is_shown_unless_it_is_not_to_be(tmp_path: Path) -> None:
    batch = patches(1)
    for wanted in (True, False):
        with serving(bundle(tmp_path, f"b{wanted}").path, thumbnails=wanted) as address:
            ask(address, f"/v2/models/b{wanted}/infer", {"inputs": [tensor("frames", frames_of(batch))]})
            seen = ask(address, "/status").json["seen"]
        assert len(seen) == wanted
        assert not wanted or seen[0]["image"].startswith("data:image/png;base64,")
