"""Contacts of two shapes, one file for each pair or family of pairs of shape types."""
