"""QONNX to FINN to RTL to simulation: not in this version."""
