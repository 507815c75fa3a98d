"""A board on the network: an Open Inference Protocol server over any backend."""
