"""Readers of production logs, one file per format. No Django in this room."""
