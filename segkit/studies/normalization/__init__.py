"""Normalization study: the same network with different norms and batch sizes, measured alike."""
