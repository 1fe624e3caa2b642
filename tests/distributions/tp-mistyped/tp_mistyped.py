"""An MLP that answers with the wrong dtype."""

from tp_core import Component, hookimpl


@hookimpl
def tp_mlps():
    return [Component(name="mistyped", target="tp_mistyped_model:Mlp", summary="Answers in fp64")]
