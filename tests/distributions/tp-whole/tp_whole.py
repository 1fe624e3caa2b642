"""Every kind of component, so that a config needs no built-in one."""

from tp_core import Component, Options, hookimpl


class _AttentionOptions(Options):
    def offers(self, dims):
        return {"rotate": {}}


@hookimpl
def tp_positional_encodings():
    return [Component(name="spin", target="tp_whole:Spin", needs=("rotate",))]


@hookimpl
def tp_attentions():
    return [Component(name="mix", target="tp_whole:Mix", options=_AttentionOptions)]


@hookimpl
def tp_norms():
    return [Component(name="scale", target="tp_whole:Scale")]


@hookimpl
def tp_mlps():
    return [Component(name="net", target="tp_whole:Net")]


@hookimpl
def tp_blocks():
    return [Component(name="stack", target="tp_whole:Stack")]


@hookimpl
def tp_samplers():
    return [Component(name="cut", target="tp_whole:Cut")]


@hookimpl
def tp_metrics():
    return [Component(name="count", target="tp_whole:Count")]


@hookimpl
def tp_optimizers():
    return [Component(name="descend", target="tp_whole:Descend")]


@hookimpl
def tp_schedules():
    return [Component(name="flat", target="tp_whole:Flat")]
