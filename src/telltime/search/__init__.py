"""Comparing videos by their frames, finding where they match, and searching collections of them."""
