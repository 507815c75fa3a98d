"""What stages have in common: units with their wires, lines, windows, and lanes for pixels that come abreast."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from bitswath.hw import units
from bitswath.hw.units import Numbers, Unit, Wire, divisors
from bitswath.network import network as net

__all__ = ["Drawing", "identifier"]


class Drawing:
    """Units so far, of a network whose input comes at most `pixels` a beat, and in whole beats a row."""

    def __init__(self, network: net.Network, pixels: int) -> None:
        self.network, shape = network, network.input.shape
        self.pixels = max(n for n in divisors(shape[1]) if n <= pixels) if len(shape) == 3 else 1
        self.units: list[Unit] = []

    def _abreast(self, wire: Wire) -> Wire:
        """With as many pixels side by side as pass in a cycle: fewer where an image has fewer than the input."""
        return wire.abreast(self._beats(wire)[0]) if len(wire.apart.shape) == 3 else wire

    def _beats(self, image: Wire) -> tuple[int, ...]:
        """Numbers of pixels that may pass side by side, the most first: rows are whole beats."""
        most = max(ceil(self._rate(image)), 1)
        return tuple(n for n in reversed(divisors(image.apart.shape[1])) if n <= most)

    def _rate(self, image: Wire) -> Fraction:
        """Pixels a cycle, in proportion to the input's; 0 behind an input that is no image."""
        first = self.network.input.shape
        return Fraction(self.pixels * prod(image.apart.shape[:2]), prod(first[:2])) if len(first) == 3 else Fraction(0)

    def _add_unit(
        self, kind: type[Unit], stage: net.Stage, inputs: tuple[Wire, ...], output: Wire, **parameters: object
    ) -> Wire:
        name = f"{identifier(stage.name)}_{kind.__name__.lower()}"
        self.units.append(kind(name, stage.name, inputs, (output,), **parameters))
        return output

    def _result(self, stage: net.Stage, numbers: Numbers | None = None) -> Wire:
        spec = self.network.tensors[stage.name]
        return Wire(identifier(stage.name), spec.shape, numbers or Numbers.holding(spec.lo, spec.hi), stage.name)

    def _integers(self, stage: net.Stage, wire: Wire) -> Wire:
        """The wire as it is, or -1 and +1 as two bits, for units that do not know them as one."""
        if not wire.numbers.bipolar:
            return wire
        signs = replace(wire, name=f"{wire.name}_signs", numbers=Numbers(2, True))
        return self._line(stage, wire, signs, 2, -1).apart

    def _line(
        self,
        stage: net.Stage,
        source: Wire,
        result: Wire,
        factor: int,
        offset: int,
        falling_offset: int = 0,
        falling: NDArray[np.bool_] | None = None,
    ) -> Wire:
        """`falling`: by channel of a beat."""
        source = self._abreast(source)
        result = result.abreast(source.pixels)
        falling = np.zeros(source.shape[-1], bool) if falling is None else falling
        unit = units.Affine(
            f"{result.name}_affine",
            stage.name,
            (source,),
            (result,),
            factor=factor,
            offset=offset,
            falling_offset=falling_offset,
            falling=falling,
        )
        self.units.append(unit)
        return result

    def _window(
        self,
        stage: net.Conv | net.MaxPool | net.SumPool,
        source: Wire,
        kernel: units.Pair,
        strides: units.Pair,
        dilations: units.Pair = (1, 1),
        depthwise: bool = False,
    ) -> Wire:
        if any(stage.pads):
            source = self._pad(stage, source)
        if kernel == (1, 1) and strides == (1, 1):
            return source
        channels = source.shape[2]
        height, width = self.network.tensors[stage.name].shape[:2]
        shape = (height, width, prod(kernel) * channels)
        output = Wire(f"{identifier(stage.name)}_windows", shape, source.numbers)
        return self._add_unit(
            units.Window,
            stage,
            (source,),
            output,
            kernel=kernel,
            strides=strides,
            dilations=dilations,
            depthwise=depthwise,
        )

    def _lanes(
        self,
        stage: net.Conv | net.MaxPool | net.SumPool,
        source: Wire,
        kernel: units.Pair,
        strides: units.Pair,
        dilations: units.Pair = (1, 1),
    ) -> tuple[Wire, ...]:
        """Windows of pixels that come abreast, or one in every cycle, a stream for each in a beat; none where FINN's
        windows are to be taken."""
        if self.pixels == 1 or self._rate(source) < 1 or dilations != (1, 1):
            return ()
        height, width, channels = source.apart.shape
        rasters = (units.Raster((height, width), pixels, kernel, strides, stage.pads) for pixels in self._beats(source))
        raster = next((each for each in rasters if each.possible), None)
        if raster is None or (raster.pixels == 1 and kernel == (1, 1) == strides):
            return ()
        source = (self._integers(stage, source) if any(stage.pads) else source).abreast(raster.pixels)
        (rows, columns), name = raster.windows, identifier(stage.name)
        shape = (rows, columns // raster.lanes, prod(kernel) * channels)
        lanes = tuple(Wire(f"{name}_windows_{lane}", shape, source.numbers) for lane in range(raster.lanes))
        self.units.append(units.LineWindows(f"{name}_lines", stage.name, (source,), lanes, raster=raster))
        return lanes

    def _join(
        self, stage: net.Stage, lanes: tuple[Wire, ...], result: Wire, kind: type[Unit], **parameters: object
    ) -> Wire:
        """What a unit of this kind in each lane gives, side by side."""
        name = f"{identifier(stage.name)}_{kind.__name__.lower()}"
        if len(lanes) == 1:
            self.units.append(kind(name, stage.name, lanes, (result,), **parameters))
            return result
        joined = result.abreast(len(lanes))
        shape = (*joined.shape[:2], result.shape[2])
        outputs = tuple(
            replace(result, name=f"{result.name}_lane{lane}", shape=shape, tensor=None) for lane in range(len(lanes))
        )
        for lane, (source, output) in enumerate(zip(lanes, outputs)):
            self.units.append(kind(f"{name}_{lane}", stage.name, (source,), (output,), **parameters))
        return self._add_unit(units.Join, stage, outputs, joined)

    def _pad(self, stage: net.Conv | net.MaxPool | net.SumPool, source: Wire) -> Wire:
        source = self._integers(stage, source)
        top, left, bottom, right = stage.pads
        height, width, channels = source.shape
        output = Wire(
            f"{identifier(stage.name)}_padded", (height + top + bottom, width + left + right, channels), source.numbers
        )
        return self._add_unit(units.Pad, stage, (source,), output, pads=stage.pads)


def identifier(tensor: str) -> str:
    """A tensor's name as an identifier."""
    clean = "".join(letter if letter.isalnum() else "_" for letter in tensor)
    return clean if clean[0].isalpha() else f"t{clean}"
