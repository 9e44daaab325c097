"""Fits, what is known of them, and how they are saved."""
