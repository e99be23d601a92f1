"""A sweep: one training for every combination of overrides."""
