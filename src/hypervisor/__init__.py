"""A folder of task files becomes a queue; every item ends in exactly one accepted report."""

__version__ = "0.2.0"
