"""Measure a dataset and decide how it is turned into a network's input."""
