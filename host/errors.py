"""The errors bitswath raises on purpose.

Every one is a `BitswathError` and also the built-in it refines, so callers may catch
either. A message is one line: what was expected, what came, what to do.
"""

from __future__ import annotations

__all__ = [
    "ArchiveError",
    "BackendError",
    "BackendTimeoutError",
    "BitswathError",
    "BuildError",
    "BundleError",
    "CodecError",
    "ConfigError",
    "ContainerError",
    "DatasetError",
    "DependencyError",
    "ExportError",
    "FrameError",
    "ImageError",
    "InputError",
    "LoweringError",
    "NetworkError",
    "PackingError",
    "PowerError",
    "SceneError",
    "StreamCancelledError",
    "StudyError",
    "TrainingError",
    "VerificationError",
]


class BitswathError(Exception):
    """Base of every error that bitswath raises on purpose."""


class CodecError(BitswathError, ValueError):
    """A codec was asked for something it cannot do, or got patches it does not fit."""


class PackingError(BitswathError, ValueError):
    """Codes do not fit their width, or bytes do not fit the declared shape."""


class ContainerError(BitswathError, ValueError):
    """A file format cannot hold these codes, or the file does not hold what it declares."""


class ArchiveError(BitswathError, ValueError):
    """A packed archive is damaged, of an unknown version, or does not fit its use."""


class ImageError(BitswathError, ValueError):
    """An image file cannot be read, or is not what the network takes."""


class DatasetError(BitswathError, LookupError):
    """A data set is not there, incomplete, or not laid out as expected."""


class NetworkError(BitswathError, ValueError):
    """An integer network is inconsistent: shapes, ranges or parameters do not fit."""


class LoweringError(BitswathError, ValueError):
    """A QONNX node has no integer form; the message names node, operator and reason."""


class ExportError(BitswathError, ValueError):
    """A Keras layer has no QONNX form; the message names layer and reason."""


class ConfigError(BitswathError, ValueError):
    """A configuration has a wrong key or value; the message names each."""


class TrainingError(BitswathError, ArithmeticError):
    """Training cannot go on, for instance because its loss is no number any more."""


class StudyError(BitswathError, RuntimeError):
    """A study's results cannot be kept, or a cell cannot be worked on; the message says which."""


class BundleError(BitswathError, ValueError):
    """An accelerator bundle is damaged, incomplete, or of an unknown version."""


class BuildError(BitswathError, RuntimeError):
    """An accelerator cannot be built; the message names the step, the reason, and the log where there is one."""


class InputError(BitswathError, ValueError):
    """Patches, codes or frames given to an accelerator do not fit its input."""


class SceneError(BitswathError, ValueError):
    """A scene cannot be read, does not fit the bundle, or its map cannot be written."""


class FrameError(CodecError, InputError):
    """A frame is damaged, or of another codec. `frame`: its number among those that were given; `reason`."""

    def __init__(self, frame: int, reason: str) -> None:
        super().__init__(frame, reason)
        self.frame, self.reason = frame, reason

    def __str__(self) -> str:
        return f"frame {self.frame}: {self.reason}"


class BackendError(BitswathError, RuntimeError):
    """A backend failed or cannot be had on this machine.

    `delivered`: where it ended a stream, how many frames' results the caller had got; None elsewhere.
    """

    delivered: int | None = None


class BackendTimeoutError(BackendError, TimeoutError):
    """A backend did not answer within the time it was given."""


class PowerError(BitswathError, RuntimeError):
    """Power or energy cannot be measured here, or was not measured well enough to give a figure."""


class StreamCancelledError(BitswathError, RuntimeError):
    """A stream was cancelled while its results were waited for."""


class DependencyError(BitswathError, ImportError):
    """An optional dependency is missing; the message names the extra that brings it."""


class VerificationError(BitswathError, AssertionError):
    """Two stages that must compute the same integers do not."""
