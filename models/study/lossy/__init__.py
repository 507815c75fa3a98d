"""Lossy image formats that patches go through: their files, and what of a file is the patch's own."""
