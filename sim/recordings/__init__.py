"""Recordings of a run, and energy from its states."""
