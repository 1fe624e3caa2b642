"""A target that ends the process it is imported in, without a word."""

from tp_core import Component, hookimpl


@hookimpl
def tp_norms():
    return [Component(name="kills", target="tp_kills_model:Norm", summary="Ends the process")]
