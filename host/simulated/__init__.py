"""A board without a board: the accelerator with its DMA engines simulated, and what pynq needs to drive it."""
