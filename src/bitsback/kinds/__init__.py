"""Kinds of models, a folder each with everything that a kind is; :mod:`bitsback.kinds.base` says what one can do."""
