"""Makers of test data that looks like the real thing."""
