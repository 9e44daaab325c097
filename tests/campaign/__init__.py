"""A campaign of hostile input: tables that are hard to fit, values that are no numbers, documents
and rules that were tampered with, arguments that make no sense.

Every case follows from the name of its family and a seed, and is judged apart from the library. The
slow tier runs a slice of each family, ``benchmarks/hostile.py`` all of it.
"""
