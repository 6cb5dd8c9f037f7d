"""Pure statistics. No Django in this room. Public surface: ``compute``."""
