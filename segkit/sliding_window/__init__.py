"""Scores of an image from overlapping windows, in bounded memory."""
