"""Georeferenced scenes of any size to maps on the same grid, through any backend."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "mapping": ("Map", "Outputs", "map_scene"),
        "settings": ("MapSettings", "SceneSettings"),
        "sources.opening": ("Source", "open_scene"),
    },
)
