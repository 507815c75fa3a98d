"""A scene's strips from top to bottom, in blocks of columns: rows that two strips have in common are read once.

The uppermost windows of a strip reach into the rows of the one before, whose tiles would be decoded a second time for
them: a row of tiles of many bands is more than GDAL is to keep.
"""

from __future__ import annotations

import numpy as np

from bitswath.scenes.sources.scene import Block, SceneReader

__all__ = ["StripReader"]


class StripReader:
    """`begin` a strip, then `read` its blocks; of what cannot be read nothing is kept."""

    def __init__(self, reader: SceneReader) -> None:
        self._reader, self._width = reader, reader.scene.grid.width
        self._top, self._bottom, self._following = 0, 0, -1
        self._memory = np.empty(0, reader.scene.dtype)
        self._above = self._below = self._rows(0)
        self._known = self._kept = np.zeros(self._width, bool)

    def begin(self, top: int, bottom: int, following: int) -> None:
        """A strip of the rows top .. bottom - 1; those from `following` on are the next one's too."""
        if top == self._following:
            self._above, self._known = self._below, self._kept
        else:
            self._above, self._known = self._rows(0), np.zeros(self._width, bool)
        self._below, self._kept = self._rows(bottom - following), np.zeros(self._width, bool)
        self._top, self._bottom, self._following = top, bottom, following

    def read(self, left: int, right: int) -> Block:
        """The strip's columns left .. right - 1, in memory that the next block takes.

        Raises `SceneError` if the file is damaged there.
        """
        block = self._block(self._bottom - self._top, right - left)
        known = len(self._above.valid) if self._known[left:right].all() else 0
        block.samples[:known] = self._above.samples[:known, left:right]
        block.valid[:known] = self._above.valid[:known, left:right]
        rest = Block(block.samples[known:], block.valid[known:])
        self._reader.read(self._top + known, left, len(rest.valid), right - left, rest)
        self._below.samples[:, left:right] = block.samples[self._following - self._top :]
        self._below.valid[:, left:right] = block.valid[self._following - self._top :]
        self._kept[left:right] = True
        return block

    def close(self) -> None:
        """Files are opened anew when they are read again."""
        self._reader.close()

    def _block(self, height: int, width: int) -> Block:
        bands = len(self._reader.scene.channels)
        if self._memory.size < height * width * bands:
            self._memory = np.empty(height * width * bands, self._reader.scene.dtype)
        samples = self._memory[: height * width * bands].reshape(height, width, bands)
        return Block(samples, np.empty((height, width), bool))

    def _rows(self, count: int) -> Block:
        return Block.empty(self._reader.scene, count, self._width)
