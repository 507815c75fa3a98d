"""A map to look around in: one HTML file that needs nothing else, opened from the disk."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from bitswath.basics.files import write_atomic
from bitswath.scenes.assemble import SCORE_STEPS
from bitswath.scenes.products.areas import areas
from bitswath.scenes.products.made import Map
from bitswath.scenes.products.thumbnails import thumbnails

__all__ = ["save_page"]

_TEMPLATE = Path(__file__).with_name("page.html")
_QUALITY = 85


def save_page(made: Map, path: Path, confidence: Path | None = None, most: int = 2048) -> None:
    """Scene and map, of at most `most` pixels a side, with opacity, legend, and class and confidence under the pointer.

    `confidence`: the raster of it, if there is one.
    """
    small = thumbnails(made, most, confidence)
    labels = np.minimum(small.labels, 255).astype(np.uint8)
    sure = np.full_like(labels, 255) if small.confidence is None else small.confidence
    facts = {
        "classes": [
            {"name": area.name, "colour": list(colour), "share": area.share, "hectares": area.hectares}
            for area, colour in zip(areas(made), made.colours)
        ],
        "steps": SCORE_STEPS,
        "confidence": small.confidence is not None,
        "size": list(made.grid.shape),
        "transform": list(made.grid.transform) if made.grid.placed else None,
        "crs": _crs_name(made.grid.crs),
    }
    page = _TEMPLATE.read_text(encoding="utf-8")
    for word, value in {
        "TITLE": html.escape(f"{made.outputs.labels.name}, {made.bundle.name}"),
        "SCENE": _url(Image.fromarray(small.scene), "JPEG", quality=_QUALITY),
        "MAP": _url(Image.fromarray(np.stack([labels, sure, np.zeros_like(labels)], axis=-1)), "PNG"),
        "FACTS": json.dumps(facts).replace("<", "\\u003c"),
    }.items():
        page = page.replace(f"@{word}@", value)
    write_atomic(path, page.encode())


def _crs_name(wkt: str) -> str:
    return wkt.split('"')[1] if '"' in wkt else ""


def _url(picture: Image.Image, kind: str, **settings: int) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
