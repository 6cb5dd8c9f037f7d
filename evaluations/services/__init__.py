"""Everything that writes. One door per state change: keyword-only, atomic, audited."""
