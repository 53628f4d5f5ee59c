"""The Python twins of two commands: ``carom.compare`` and ``carom.api.variance.compare_variance``."""
