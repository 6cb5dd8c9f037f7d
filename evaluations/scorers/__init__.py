"""Functions that judge one completion. No Django in this room."""
