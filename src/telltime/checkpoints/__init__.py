"""Saving and loading models; reading the published files safely."""
