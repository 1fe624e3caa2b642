import torch
from torch import nn


class Unmasked(nn.Module):
    def __init__(self, options, ctx):
        super().__init__()
        self.v = ctx.linear(ctx.dim, ctx.dim)

    def init_state(self):
        return {}

    def forward(self, x, seq, state):
        return self.v(x).mean(1, keepdim=True).expand_as(x), state


class OverTime(nn.Module):
    def __init__(self, options, ctx):
        super().__init__()

    def forward(self, x):
        return x - x.mean(-2, keepdim=True)


class Detached(OverTime):
    def forward(self, x):
        return x - x.detach().mean(-2, keepdim=True)


class InTraining(OverTime):
    def forward(self, x):
        return super().forward(x) if self.training else x


class Fine(OverTime):
    def forward(self, x):
        return x - x.mean(-1, keepdim=True)


class Shifted(nn.Module):
    def __init__(self, options, ctx):
        super().__init__()

    def forward(self, x):
        return torch.roll(x, -1, dims=-2)


class Ahead(nn.Module):
    def __init__(self, options, ctx):
        super().__init__()

    def embed(self, x, seq):
        return x + x[:, -1:]
