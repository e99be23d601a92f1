"""Lottery tickets: prune a trained network, rewind it, train it again, and compare with controls."""
