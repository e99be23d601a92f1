"""Norms in a study: which ones it can compare, and what happens on both sides of them."""
