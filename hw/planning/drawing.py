"""What stages have in common: units with their wires, lines, windows, and lanes for pixels that come abreast."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from bitswath.hw import units
from bitswath.hw.units import Numbers, Unit, Wire
from bitswath.network import network as net

__all__ = ["Drawing", "identifier"]


class Drawing:
    """Units so far, of a network whose input comes `pixels` a beat."""

    def __init__(self, network: net.Network, pixels: int) -> None:
        self.network, self.pixels = network, pixels
        self.units: list[Unit] = []

    def _abreast(self, wire: Wire) -> Wire:
        """With as many pixels side by side as pass in a cycle: fewer where an image has fewer than the input."""
        shape, most = wire.apart.shape, self._pixels_of(wire)
        if len(shape) != 3:
            return wire
        return wire.abreast(max((n for n in range(1, most + 1) if shape[1] % n == 0), default=1))

    def _pixels_of(self, wire: Wire) -> int:
        """That pass in a cycle, 0 where there is time for several cycles a pixel; 1 of what is no image."""
        shape, first = wire.apart.shape, self.network.input.shape
        if len(shape) != 3 or len(first) != 3:
            return 1
        return self.pixels * prod(shape[:2]) // prod(first[:2])

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
        return self._line(stage, wire, replace(wire, name=f"{wire.name}_signs", numbers=Numbers(2, True)), 2, -1)

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
        beats = self._abreast(source)
        height, width, channels = source.shape
        raster = units.Raster((height, width), beats.pixels, kernel, strides, stage.pads)
        every = self.pixels > 1 and self._pixels_of(source) > 0
        alone = beats.pixels == 1 and kernel == (1, 1) == strides
        if not every or alone or dilations != (1, 1) or not raster.possible:
            return ()
        source = self._integers(stage, beats) if any(stage.pads) else beats
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
