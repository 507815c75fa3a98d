"""An accelerator on disk, and the zoo of those that come with bitswath."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "bundle": ("Bundle", "how_pixels_enter", "load_bundle", "save_bundle", "update_accuracy"),
        "manifest": ("Manifest", "ModelInput", "Source"),
    },
)
