"""Figures of a report; their captions are in ``captions.py``."""
