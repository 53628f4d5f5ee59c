"""The Python twins of the commands: ``carom.compare``, ``.diagnose``, ``.optimize``, ``.train`` and ``.variance``."""
