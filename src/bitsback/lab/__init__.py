"""Experiments: a look into a model (:mod:`.model`), and the paper that this package is named after, done again.

Nothing here is needed to compress, and nothing here is imported by what compresses.
"""
