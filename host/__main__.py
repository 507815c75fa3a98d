"""``python -m bitswath``."""

from bitswath.cli import main

main()
