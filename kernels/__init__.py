"""Warp code of carom: types, contact detection, contact geometry, contact potential, solver, integration, adjoints.

Nothing here imports torch. Every file has a cached ``make(dtype)`` factory for float32 and float64.
"""
