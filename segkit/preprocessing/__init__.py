"""Preprocessing of scans for a network, and the inverse for its results."""
