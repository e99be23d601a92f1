"""Training patches: selection of cases and positions, augmentation, loading."""
