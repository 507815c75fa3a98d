"""bitswath: few-bit satellite imagery on FPGA dataflow accelerators."""

__version__ = "0.1.0"
