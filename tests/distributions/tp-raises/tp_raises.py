"""Fails at import."""

from pathlib import Path

Path("no/such/calibration.table").read_text()
