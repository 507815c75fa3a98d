"""Proof that what synthesis makes of a bundle's built hardware does what its RTL does, cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.netlist.check import check_netlists
from bitswath.builds.folder import build_folder
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.errors import InputError
from bitswath.models.verify.compare import Comparison, Difference

__all__ = ["verify_netlist"]


def verify_netlist(
    bundle: Bundle,
    frames: NDArray[np.uint8],
    *,
    board: str | None = None,
    whole: bool = False,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda name: None,
) -> tuple[Comparison, str]:
    """Every stage and queue of the build for `board` beside its netlist, and a line on how they were compared.

    `frames`: of the codec, uint8 (N, W), of which the parts are fed what streams between them; `whole`: also the
    accelerator in one piece. The comparison's tensors are parts, its values those of a port in a cycle; `first` names
    part and port, its index is the cycle. Raises as `check_netlists`.
    """
    if len(frames) == 0:
        raise InputError("expected at least one frame to verify on, got none")
    folder = build_folder(bundle.path, board)
    digest = bundle.manifest.files[NETWORK].sha256
    found = check_netlists(folder, frames, network=digest, whole=whole, seed=seed, on_step=on_step)
    wrong = [mismatch for verdict in found.verdicts for mismatch in verdict.mismatches]
    where = min(wrong, key=lambda mismatch: mismatch.cycle, default=None)
    first = None
    if where is not None:
        first = Difference(f"{where.part} {where.port}", (where.cycle,), where.expected, where.actual)
    values = sum(verdict.values for verdict in found.verdicts)
    comparison = Comparison("RTL", "netlist", len(found.verdicts), values, len(wrong), first)
    cycles = sum(verdict.cycles for verdict in found.verdicts)
    pieces = f"{len(found.verdicts)} different parts{', the whole among them' if whole else ''}"
    note = (
        f"netlist: {pieces}, for {found.family} by {found.tool}, {cycles:,} cycles with pauses and resets (seed {seed})"
    )
    read = "; ".join(map(str, found.findings[:3])) or "nothing to be read otherwise"
    by = "Verilator and the lint for Vivado" if found.linted else "Verilator (the lint for Vivado needs pyslang)"
    return comparison, f"{note}; {by}: {read}"
