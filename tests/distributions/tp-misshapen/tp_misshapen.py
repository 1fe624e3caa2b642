"""An MLP that answers with the wrong shape."""

from tp_core import Component, hookimpl


@hookimpl
def tp_mlps():
    return [
        Component(name="misshapen", target="tp_misshapen_model:Mlp", summary="Halves the width")
    ]
