"""Vendors' wire formats behind one protocol. No Django in this room."""
