"""One of two distributions that bring a norm of the same name."""

from tp_core import Component, hookimpl


@hookimpl
def tp_norms():
    return [Component(name="wave", target="tp_alpha:Wave", summary="by alpha")]
