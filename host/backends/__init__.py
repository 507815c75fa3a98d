"""Backends: what runs a bundle's network on packed frames."""
