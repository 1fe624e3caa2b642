from torch import nn


class Mlp(nn.Module):
    def __init__(self, options, ctx):
        super().__init__()

    def forward(self, x):
        return x.double()
