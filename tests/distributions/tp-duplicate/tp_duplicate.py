"""One name twice: in one entry point, and in two of one distribution."""

from tp_core import Component, hookimpl


class _Once:
    @hookimpl
    def tp_mlps(self):
        return [Component(name="twin", target="tp_duplicate:Twin")]


class _Twice:
    @hookimpl
    def tp_norms(self):
        return [
            Component(name="double", target="tp_duplicate:A"),
            Component(name="other", aliases=("double",), target="tp_duplicate:B"),
        ]


one, two, twice = _Once(), _Once(), _Twice()
