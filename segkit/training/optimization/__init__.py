"""Losses, optimizers, schedule, and the Lightning module that brings them together."""
