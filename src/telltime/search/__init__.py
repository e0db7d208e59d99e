"""Searching collections of videos: comparing them, aligning them, and the index that keeps them."""
