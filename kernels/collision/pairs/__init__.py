"""Contacts of two shapes, one file a pair of shape types."""
