"""Deflate streams, byte for byte."""
