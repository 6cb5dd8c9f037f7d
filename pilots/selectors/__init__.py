"""Reads: finished, frozen answers."""
