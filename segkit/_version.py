"""The version of segkit; the build reads it here, too."""

__version__ = "0.1.0"
