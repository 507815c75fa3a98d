"""Folders that FINN and FINN+ left: what their drivers are told, which bit file is meant, what was reported."""
