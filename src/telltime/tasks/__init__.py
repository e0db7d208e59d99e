"""Evaluation protocols: settings and a metric, returning a Result."""
