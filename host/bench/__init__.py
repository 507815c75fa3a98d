"""Measuring a bundle on a backend: latency, energy, and on which machine."""
