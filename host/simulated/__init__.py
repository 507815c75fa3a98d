"""A board without a board: the shell around an accelerator in simulation, with its memory, registers and faults."""

from __future__ import annotations

from bitswath.simulated.board import SimulatedBoard, simulate_board
from bitswath.simulated.system import ENGINES, Fault, System

__all__ = ["ENGINES", "Fault", "SimulatedBoard", "System", "simulate_board"]
