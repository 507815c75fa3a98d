"""Tensors as the lowering sees them, and the chains of float nodes between integers and quantizers."""
