"""Queues, cycles and resources, by simulation and synthesis."""
