"""Pruning: remove whole groups of a trained network and retrain it, until it fits a budget."""
