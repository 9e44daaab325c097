"""Designs, noise and simulated tables."""
