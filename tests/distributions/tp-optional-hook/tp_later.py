"""Serves a kind that only a later tp asks for, and one that this tp knows."""

from tp_core import Component, hookimpl


@hookimpl(optionalhook=True)
def tp_routers():
    return [Component(name="router", target="tp_later:Router")]


@hookimpl
def tp_norms():
    return [Component(name="now", target="tp_later:Now")]
