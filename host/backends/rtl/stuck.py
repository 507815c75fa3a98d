"""Why a simulated design came to a halt: which stage does not go on, from the state of every stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.builds.design import Design, Stage, Stream
from bitswath.errors import BackendError, BackendTimeoutError

__all__ = ["DesignStuckError", "StreamState", "explain", "stuck_stage"]

_DEAD, _LIMIT, _EXTRA_WORD, _FINISHED = range(4)


class DesignStuckError(BackendTimeoutError):
    """A simulated design does not go on."""


@dataclass(frozen=True)
class StreamState:
    """Arrays int64 over a design's streams: beats given so far, and the handshakes at both ends."""

    transfers: NDArray[np.int64]
    valid: NDArray[np.int64]
    ready: NDArray[np.int64]
    sink_valid: NDArray[np.int64]
    sink_ready: NDArray[np.int64]


def explain(design: Design, numbers: list[int], state: StreamState, log: Path) -> BackendError:
    """The error for a simulation that gave up; `numbers`: reason, cycle, frames in and out, words in and out."""
    reason, cycle, frames_in, frames_out, words_in, words_out = numbers
    if reason == _FINISHED:
        return BackendError(f"the design ended the simulation itself in cycle {cycle}; see {log}")
    if reason == _EXTRA_WORD:
        return BackendError(
            f"the design gave a word too many after {frames_out} frames, in cycle {cycle};"
            f" expected {design.output.words} a frame"
        )
    done = f"{frames_out} frames and {words_out} of {design.output.words} words came out, {frames_in} frames and"
    done += f" {words_in} of {design.input.words} words went in"
    if reason == _LIMIT:
        return DesignStuckError(
            f"no frame was finished for too many cycles, up to cycle {cycle}: {done}; {stuck_stage(design, state)}"
        )
    return DesignStuckError(f"the design is dead since before cycle {cycle}: {done}; {stuck_stage(design, state)}")


def stuck_stage(design: Design, state: StreamState) -> str:
    """One clause that names the stage that does not go on.

    From the output towards the input: a stream that gives nothing leads to its source, a stage that misses an
    input to that input's source, a stage that cannot give one of its outputs to that one's sink. The stage that
    has all it needs and does nothing is stuck; if the way comes back to where it was, a queue is too short.
    """
    return _Search(design, state).run()


class _Search:
    def __init__(self, design: Design, state: StreamState) -> None:
        self.stages = {stage.name: stage for stage in design.stages}
        self.streams = {stream.name: stream for stream in design.streams}
        self.number = {stream.name: index for index, stream in enumerate(design.streams)}
        self.end = design.output.stream
        self.state = state
        self.blocked: Stream | None = None

    def run(self) -> str:
        seen: set[str] = set()
        stream = self.streams[self.end]
        if self._arrived(stream):
            return "the output offers a word, and nobody takes it"
        stage = self._source(stream)
        while stage is not None and stage.name not in seen:
            seen.add(stage.name)
            missing = [self.streams[name] for name in stage.inputs.values() if not self._arrived(self.streams[name])]
            held = [self.streams[name] for name in stage.outputs.values() if self._held(self.streams[name])]
            held = [one for one in held if one.sink not in seen] or held
            if held:
                self.blocked = stream = held[0]
                stage = self.stages.get(held[0].sink or "")
            elif missing:
                stream, stage = missing[0], self._source(missing[0])
            else:
                return f"stage {stage.name!r} ({stage.kind}) is stuck: {self._status(stage)}"
        if stage is None:
            return f"the accelerator waits for more input on stream {stream.name!r}"
        if self.blocked is not None:
            return (
                f"stages wait for each other at stage {self.blocked.sink!r}: the queue in stream"
                f" {self.blocked.name!r} (depth {self.blocked.depth}) is too short"
            )
        return f"stages wait for each other at stage {stage.name!r}: {self._status(stage)}"

    def _source(self, stream: Stream) -> Stage | None:
        return self.stages.get(stream.source or "")

    def _arrived(self, stream: Stream) -> bool:
        return bool(self.state.sink_valid[self.number[stream.name]])

    def _held(self, stream: Stream) -> bool:
        index = self.number[stream.name]
        return bool(self.state.valid[index] and not self.state.ready[index])

    def _status(self, stage: Stage) -> str:
        state = self.state
        ins = [self._shown("in", name, state.sink_valid, state.sink_ready) for name in stage.inputs.values()]
        outs = [self._shown("out", name, state.valid, state.ready) for name in stage.outputs.values()]
        return ", ".join(ins + outs)

    def _shown(self, end: str, name: str, valid: NDArray[np.int64], ready: NDArray[np.int64]) -> str:
        index, beats = self.number[name], self.streams[name].beats
        given = int(self.state.transfers[index])
        of_frame = f" ({given / beats:.2f} frames)" if beats else ""
        return f"{end} {name!r} valid {valid[index]} ready {ready[index]} after {given} beats{of_frame}"
