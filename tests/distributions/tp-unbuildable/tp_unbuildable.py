"""A norm whose constructor raises."""

from tp_core import Component, hookimpl


class Norm:
    def __init__(self, options, ctx):
        self.table = {"small": 1}["large"]

    def forward(self, x):
        return x


@hookimpl
def tp_norms():
    return [Component(name="unbuildable", target="tp_unbuildable:Norm", summary="Can't be made")]
