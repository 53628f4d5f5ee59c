"""Warp code of carom: types, contact detection, contact geometry, contact potential, solver, integration, adjoints.

Nothing here knows torch. Every file offers a cached ``make(dtype)`` factory for float32 and float64.
"""
