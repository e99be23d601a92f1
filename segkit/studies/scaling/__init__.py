"""Compound scaling: width, depth, patch and channels per group together, under a budget."""
