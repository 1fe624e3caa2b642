"""`# HERE how` marks the line that a message about that fault has to name."""

import torch
from torch import nn

from tp_faulty.helper import fail


class Faulty(nn.Module):
    def __init__(self, options, ctx):
        super().__init__()
        self.how, self.calls = options.how, 0

    def late(self):
        """Whether three steps are done; what looks at the model before them takes no gradients."""
        self.calls += self.training and torch.is_grad_enabled()
        return self.calls > 3


class Late(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("no way back")  # HERE backward


class Net(Faulty):
    def __init__(self, options, ctx):
        super().__init__(options, ctx)
        if self.how == "constructor":
            nn.Linear(ctx.dim, "wide")  # HERE constructor
        self.linear = ctx.linear(ctx.dim, ctx.dim, residual=True)
        if self.how == "reads":
            self.largest = self.linear.weight.max().item()

    def forward(self, x):  # HERE returns
        y = self.linear(x)
        match self.how:
            case "forward":
                y = y @ torch.zeros(3, 3)  # HERE forward
            case "helper":
                fail()
            case "late":
                if self.late():
                    raise ValueError("enough\nof this")  # HERE late
            case "shape":
                y = torch.cat([y, y], -1)
            case "broadcast":
                y = y.mean(0, keepdim=True)
            case "dtype":
                y = y.double()
            case "nan":
                y = y / 0 * 0
            case "late_nan":
                y = y * torch.nan if self.late() else y
            case "nothing":
                y = None
            case "backward":
                y = Late.apply(y)
        return y


class Mix(Faulty):
    def __init__(self, options, ctx):
        super().__init__(options, ctx)
        self.linear = ctx.linear(ctx.dim, ctx.dim, residual=True)
        self.encoding = ctx.positional_encoding()
        self.heads = ctx.n_heads

    def init_state(self, batch):  # HERE state_made
        if self.how == "flat_state":
            return {"steps": torch.zeros(())}
        return {"steps": torch.zeros(batch)}

    def forward(self, x, seq, state):  # HERE state_returns
        if self.how == "step" and state is not None:
            raise LookupError("no such step")  # HERE step
        index = seq.positions
        q = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        self.encoding.rotate(q, index, "q")
        self.encoding.bias(index, index)
        y = self.linear(x)
        if self.how == "no_tuple":
            return y
        return y, None if self.how == "lost_state" else state


class Twist(Faulty):
    def rotate(self, t):  # HERE rotated
        return t[..., :-1]


class Lean(Faulty):
    def bias(self, q_pos, k_pos):  # HERE leaning
        return torch.zeros(1, 1, 1, 1)


class Pick:
    def __init__(self, options, ctx):
        self.how = options.how

    def init_state(self, batch):
        if self.how == "state":
            raise ValueError("no state")  # HERE state
        return {}

    def __call__(self, logits):
        match self.how:
            case "call":
                raise ValueError("no pick")  # HERE call
            case "none_left":
                return torch.full_like(logits, -torch.inf)
            case "one_nan":
                return logits.index_fill(1, torch.tensor([5]), torch.nan)
            case "infinite":
                return logits.index_fill(1, torch.tensor([5]), torch.inf)
            case "narrow":
                return logits[:, :3]
        return logits

    def accept(self, tokens):
        if self.how == "accept":
            raise ValueError("not taken")  # HERE accept


class Count:
    def __init__(self, options, ctx):
        self.how = options.how

    def compute(self, view):
        if self.how == "compute":
            raise ValueError("can't count")  # HERE compute
        return {"value": torch.nan}


class Pace:
    def __init__(self, options, ctx):
        self.how = options.how

    def factor(self, step):
        if self.how == "factor":
            raise ValueError("no pace")  # HERE factor
        return {"nan_factor": torch.nan, "no_factor": None}[self.how]


class Sgd(torch.optim.SGD):
    def step(self):
        raise ValueError("no descent")  # HERE descent


class Descend:
    def __init__(self, options, ctx):
        self.how = options.how

    def build(self, parameters):
        if self.how == "build":
            raise ValueError("nothing to descend on")  # HERE build
        if self.how == "no_optimizer":
            return None
        return Sgd([info.parameter for info in parameters], lr=1.0)
