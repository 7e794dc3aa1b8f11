"""Readers of published data sets, and transforms."""
