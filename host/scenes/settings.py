"""What may be chosen about mapping a scene, as plain data: it enters the digest by which a run is found again."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bitswath.basics.schema import Schema
from bitswath.scenes.windows import Mode

__all__ = ["Extent", "MapSettings", "Resampling", "SceneSettings"]

Extent = Literal["scene", "windows"]
Resampling = Literal["nearest", "bilinear", "cubic", "average"]
_Name = Annotated[str, Field(min_length=1, max_length=512)]


class SceneSettings(Schema):
    """How a scene is read.

    `bands`: names or numbers (from 1), in the bundle's order; None: those of the bundle's names, or all. `resample`:
    bring a scene of another resolution to the bundle's; `resampling`: how, and how bands of several resolutions come
    to one grid. `nodata`: the value that stands for none, instead of what the file says. A sample is taken as
    ``scale * sample + offset``, rounded and kept within the bundle's type; by default as it is, or with the
    offset that the product declares (see `bitswath.scenes.sources.samples`); `value_range`: instead, these two samples
    become the lowest and the highest of the bundle's type. `mask`: a raster on the same ground, or "scl" for that of a
    Sentinel-2 product, whose `mask_values` are left out (by default all but 0; of SCL clouds, their shadows, cirrus,
    saturated).
    """

    bands: tuple[_Name, ...] | None = None
    resample: bool = False
    resampling: Resampling = "bilinear"
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    value_range: tuple[float, float] | None = None
    mask: _Name | None = None
    mask_values: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> SceneSettings:
        if self.value_range is not None:
            if self.scale is not None or self.offset is not None:
                raise ValueError("value_range: give this, or scale and offset")
            if not self.value_range[0] < self.value_range[1]:
                raise ValueError("value_range: expected a lower and a higher sample")
        if self.mask_values is not None and self.mask is None:
            raise ValueError("mask_values: of which mask? give it")
        return self


class MapSettings(Schema):
    """How windows are laid and brought together.

    `stride`: pixels from window to window, by default half a patch; `mode`: see `bitswath.scenes.windows.Mode`;
    `extent`: the whole scene, whose last windows end with it, or what the regular windows cover; `most_nodata`: the
    share of a window's pixels that may be nodata.
    """

    stride: Annotated[int, Field(ge=1)] | None = None
    mode: Mode = "mean"
    extent: Extent = "scene"
    most_nodata: Annotated[float, Field(ge=0, lt=1)] = 0.5

    def most_empty(self, pixels: int) -> int:
        """How many of a window's pixels may be nodata."""
        return math.floor(self.most_nodata * pixels)
