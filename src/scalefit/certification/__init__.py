"""Proofs that an optimum is global, by branch and bound."""
