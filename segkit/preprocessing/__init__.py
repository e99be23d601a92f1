"""Preprocessing: from a scan to the input of a network, and the inverse."""
