"""Imports a library that nobody installed."""

import a_library_nobody_has

__all__ = ["a_library_nobody_has"]
