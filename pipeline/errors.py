"""Errors that a user can mend."""


class DataError(Exception):
    """A data file that is missing, cut, corrupted or out of reach; the message names it and the reason."""
