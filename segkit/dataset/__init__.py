"""Datasets: which files belong to which case, read from five layouts. No voxels here."""
