"""Imports torch with its descriptors."""

import torch

from tp_core import Component, hookimpl


class Norm(torch.nn.Module):
    def __init__(self, options, ctx):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(ctx.dim))

    def forward(self, x):
        return x * self.gain


@hookimpl
def tp_norms():
    return [Component(name="eager", target="tp_eager:Norm", summary="A gain, and torch too soon")]
