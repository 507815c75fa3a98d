"""Image files, folders and zips to patches, and codes to image files."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "images": ("ImageSource", "open_images", "read_image"),
    },
)
