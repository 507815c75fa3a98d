"""QONNX to FINN to RTL to simulation: comes with its own issue."""
