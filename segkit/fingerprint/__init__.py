"""Measure a dataset: sizes, spacings, intensities and labels of its cases."""
