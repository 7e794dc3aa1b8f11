"""The base of every error that a user can mend. Each area derives its own in ``<area>/errors.py``."""


class UavPerceptionError(Exception):
    """Says what is wrong, with the value, and the remedy. The command line prints it as one line."""
