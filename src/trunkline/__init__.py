"""Trunkline: one line to every model."""
