"""Components that break their contract, each in the way its option says."""

from pydantic import Field

from tp_core import Component, Options, hookimpl


class How(Options):
    how: str = Field(description="what goes wrong")


class AttentionHow(How):
    def offers(self, dims):
        return {"embed": {}, "rotate": {}, "bias": {}}


def _one(name, needs=(), options=How):
    target = f"tp_faulty.model:{name.title()}"
    return [Component(name=name, target=target, options=options, needs=needs)]


@hookimpl
def tp_mlps():
    return _one("net")


@hookimpl
def tp_attentions():
    return _one("mix", options=AttentionHow)


@hookimpl
def tp_positional_encodings():
    return [*_one("twist", ("rotate",)), *_one("lean", ("bias",))]


@hookimpl
def tp_samplers():
    return _one("pick")


@hookimpl
def tp_metrics():
    return _one("count")


@hookimpl
def tp_schedules():
    return _one("pace")


@hookimpl
def tp_optimizers():
    return _one("descend")
