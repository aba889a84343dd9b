"""Moves a live VAGUS workout database from v1 to v2 and back, with nothing lost and everything proved."""

__version__ = "0.1.0"
