"""``--resize`` and ``--crop``, for the commands that read images."""

from __future__ import annotations

from typing import Any

import click

from bitswath.errors import ImageError
from bitswath.imagery.fit import Size, parse_size

__all__ = ["crop_option", "resize_option"]


class _Size(click.ParamType[Size]):
    """A height and a width in pixels: "256", "200x300"."""

    name = "H[xW]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        try:
            return parse_size(str(value))
        except ImageError as error:
            self.fail(str(error), param, ctx)


resize_option = click.option(
    "--resize", type=_Size(), metavar="H[xW]", help="Resize every image to this height and width."
)
crop_option = click.option(
    "--crop", type=_Size(), metavar="H[xW]", help="Cut this size out of each image's middle, after --resize."
)
