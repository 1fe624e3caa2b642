"""Brings a norm that is called like a built-in one."""

from tp_core import Component, hookimpl


@hookimpl
def tp_norms():
    return [Component(name="rmsnorm", target="tp_shadow:RmsNorm", summary="another rmsnorm")]
