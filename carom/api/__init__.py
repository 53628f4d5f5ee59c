"""The Python twin of each command: ``carom.compare``, ``carom.variance``."""
