"""Which of the built-ins' many checks are asked in a usual run of the tests."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every component at its defaults, and that every option does something; the rest is heavy."""
    for item in items:
        if item.path.name == "test_builtin.py" and isinstance(item, pytest.Function):
            case, check = (item.callspec.params[name] for name in ("case", "check"))
            if case.variant.option and check.name != "effect":
                item.add_marker(pytest.mark.heavy)
