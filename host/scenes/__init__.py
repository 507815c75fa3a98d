"""Georeferenced scenes of any size to maps on the same grid, through any backend."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "mapping": ("map_scene",),
        "products.made": ("Map", "Outputs"),
        "settings": ("MapSettings", "SceneSettings"),
        "sources.opening": ("Source", "open_scene"),
    },
)
