"""Brings an attention called like another distribution's MLP, with an option nobody can guess."""

from pydantic import Field

from tp_core import Component, Options, hookimpl


class TwinOptions(Options):
    reach: int = Field(description="how far it looks", examples=[3])

    def offers(self, dims):
        return {"rotate": {}} if self.reach > 1 else {}


@hookimpl
def tp_attentions():
    return [Component(name="twin", target="tp_namesake:Twin", options=TwinOptions)]
