"""Symmetry study: plain, augmented and equivariant networks over numbers of training cases."""
