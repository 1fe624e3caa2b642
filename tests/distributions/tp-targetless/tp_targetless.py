"""Points at a module that isn't there, and at a class that isn't there in one that is."""

from tp_core import Component, hookimpl


@hookimpl
def tp_norms():
    return [
        Component(name="no_module", target="tp_targetless_model:Norm", summary="No such module"),
        Component(name="no_class", target="tp_targetless:Norm", summary="No such class"),
    ]
