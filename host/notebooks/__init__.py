"""Notebooks for a board; ``pynq get-notebooks bitswath`` puts them into the board's notebook folder."""
