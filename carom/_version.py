"""The version, for the package and for what is written to files."""

__all__ = ["__version__"]

__version__ = "0.1.0"
