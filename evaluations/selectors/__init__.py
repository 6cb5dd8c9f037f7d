"""Everything that reads. Finished frozen dataclasses; nothing here writes."""
