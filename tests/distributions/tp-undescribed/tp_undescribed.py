"""Has an option without a description."""

from tp_core import Component, Options, hookimpl


class TerseOptions(Options):
    eps: float = 1e-6


@hookimpl
def tp_norms():
    return [Component(name="terse", target="tp_undescribed:Terse", options=TerseOptions)]
