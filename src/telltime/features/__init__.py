"""Embeddings over a data set, computed once and kept."""
