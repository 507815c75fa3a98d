"""Requests on their way to devices: joined, in turns, and what becomes of them when a device fails."""
