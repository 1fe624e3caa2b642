"""Components that load, and that nobody could use as they are: each with a fault of its own."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tp_core import Component, Options, hookimpl

MODEL = "tp_unfit.model"


class Unvaried(Options):
    eps: float = Field(1e-6, gt=0, description="has no example")


class OutOfRange(Options):
    eps: float = Field(1e-6, gt=0, description="has an example out of its range", examples=[-1.0])


class Moving(Options):
    eps: Annotated[float, AfterValidator(lambda eps: eps * 2)] = Field(
        1.0, description="is another number whenever it is read", examples=[3.0]
    )


class Divides(Options):
    parts: int = Field(0, description="divides by zero", examples=[2])

    def problems(self, dims):
        if dims.dim % self.parts:
            yield "doesn't divide"


class Turns(Options):
    def offers(self, dims):
        return {"embed": {}, "rotat": {}}


def _norm(name, cls="Norm", summary="As good as any", **more):
    return Component(name=name, target=f"{MODEL}:{cls}", summary=summary, **more)


@hookimpl
def tp_norms():
    return [
        _norm("silent", summary=" "),
        _norm("verbose", summary="One line\nand another"),
        _norm("unvaried", options=Unvaried),
        _norm("out_of_range", options=OutOfRange),
        _norm("moving", options=Moving),
        _norm("divides", options=Divides),
        Component(name="nowhere", target="tp_unfit.gone:Norm", summary="No such module"),
        Component(name="raising", target="tp_unfit.raising:Norm", summary="Raises at import"),
        _norm("classless", "Nrm"),
        _norm("function", "function"),
        _norm("misspelt", "Misspelt"),
        _norm("greedy", "Greedy"),
        _norm("alone", "Alone"),
        _norm("fine"),
    ]


@hookimpl
def tp_attentions():
    return [_norm("turns", "Attention", options=Turns)]


@hookimpl
def tp_positional_encodings():
    return [_norm("says_less", "Biases"), _norm("says_more", "Biases", needs=("bias", "rotate"))]


@hookimpl
def tp_metrics():
    return [_norm("nameless", "Metric")]
