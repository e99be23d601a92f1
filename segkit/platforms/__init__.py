"""Platforms that start segkit's image: their descriptors, and how they lay out files.

A module of a platform holds the descriptor that the platform reads, and where the platform puts
scans and looks for label maps. `segkit descriptor` prints the former, and `segkit run-as`, which
the descriptors start, uses the latter.
"""
