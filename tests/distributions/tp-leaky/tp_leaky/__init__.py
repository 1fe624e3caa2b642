"""Components that let tokens see later ones, each in its own way, and one that doesn't."""

from tp_core import Component, Options, hookimpl


class AttentionOptions(Options):
    def offers(self, dims):
        return {"embed": {}, "rotate": {}, "bias": {}}


@hookimpl
def tp_attentions():
    target = "tp_leaky.model:Unmasked"
    return [Component(name="unmasked", target=target, options=AttentionOptions, summary="No mask")]


@hookimpl
def tp_norms():
    return [
        Component(name="over_time", target="tp_leaky.model:OverTime", summary="Mean over time"),
        Component(
            name="detached", target="tp_leaky.model:Detached", summary="No gradient shows it"
        ),
        Component(
            name="in_training", target="tp_leaky.model:InTraining", summary="Train mode only"
        ),
        Component(name="fine", target="tp_leaky.model:Fine", summary="As it should be"),
    ]


@hookimpl
def tp_mlps():
    return [Component(name="shifted", target="tp_leaky.model:Shifted", summary="The next token")]


@hookimpl
def tp_positional_encodings():
    return [
        Component(
            name="ahead", target="tp_leaky.model:Ahead", summary="Tells the end", needs=("embed",)
        )
    ]
