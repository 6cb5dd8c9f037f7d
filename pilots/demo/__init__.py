"""A believable portfolio to try the product on: made, seeded, and stored through the same doors as real data."""
