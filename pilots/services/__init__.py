"""Writes: one door per state change."""
