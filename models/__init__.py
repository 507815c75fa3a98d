"""Data sets, quantizers, architectures, training, QONNX export, lowering and the zoo."""
