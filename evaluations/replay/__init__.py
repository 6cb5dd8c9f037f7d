"""The asynchronous core of a replay. No Django in this room."""
