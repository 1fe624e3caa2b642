"""Imports well and fails when asked."""

from tp_core import hookimpl


@hookimpl
def tp_norms():
    raise ValueError("first line\n  second line")
