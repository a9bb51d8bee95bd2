"""The version of Lilliput, in one place: the package, the command line and every emitted file read it here."""

__version__ = "0.1.0"
