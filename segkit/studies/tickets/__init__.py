"""Lottery tickets: prune a trained network, rewind it, train it again, compare with controls."""
