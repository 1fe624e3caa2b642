"""Misspells its hook."""

from tp_core import Component, hookimpl


@hookimpl
def tp_norm():
    return [Component(name="misspelt", target="tp_typo:Misspelt")]
