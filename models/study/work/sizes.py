"""Bytes that a patch takes: its frame on the link, its lossy file, and what of that file is its own.

Where they differ from patch to patch, the mean is told with the 99th percentile and the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.models.data.datasets import Dataset
from bitswath.models.study.lossy.formats import parse_lossy
from bitswath.models.study.lossy.payloads import fitted_head
from bitswath.models.study.work.patches import thinned

__all__ = ["HEAD_PATCHES", "file_sizes", "link_sizes"]

Facts = dict[str, Any]

HEAD_PATCHES = 2000
"""Patches of the training split to which what files share is fitted."""


def link_sizes(codec: Codec, patches: NDArray[Any]) -> Facts:
    """`link_bytes` of a frame of patches (N, H, W, C), as it is sent; of compressed ones with `_p99` and `_max`."""
    if not codec.compressed:
        return {"link_bytes": codec.frame_bytes(patches.shape[1:])}
    return _spread("link_bytes", codec.frame_lengths(codec.encode_packed(patches, threads=1)))


def file_sizes(source: str, patches: NDArray[np.uint8], train: Dataset) -> Facts:
    """`source_bytes` of the lossy files of patches (N, H, W, C), and `source_payload_bytes` without what all of them
    share, fitted to `train`; each with `_p99` and `_max`."""
    chosen = parse_lossy(source)
    head = fitted_head(chosen, thinned(train, HEAD_PATCHES).patches)
    files = [chosen.encode(patch) for patch in patches]
    whole, own = (list(map(len, found)) for found in (files, map(head.payload, files)))
    return _spread("source_bytes", whole) | _spread("source_payload_bytes", own)


def _spread(name: str, sizes: Sequence[int] | NDArray[np.int64]) -> Facts:
    p99 = np.percentile(sizes, 99, method="higher")
    return {name: float(np.mean(sizes)), f"{name}_p99": int(p99), f"{name}_max": int(np.max(sizes))}
