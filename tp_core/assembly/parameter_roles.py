"""What each parameter is for, which decides its weight decay and its optimizer's treatment."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from tp_core.errors import TpError

ROLES = ("hidden", "embedding", "head", "norm", "bias", "scalar")
DECAYED = ("hidden", "embedding", "head")


def parameter_roles(
    model: nn.Module, norms: Iterable[nn.Module], head: nn.Module | None
) -> dict[str, str]:
    """The role of every parameter, by name. `norms` are the modules built as that kind.

    A module's optional `roles()` gives {own parameter name: role} and overrides what follows from
    module types. Raises `TpError` for a role or a name there is none of.
    """
    norm_parameters = {p for module in norms for p in module.parameters()}
    owners = {id(p): module for module in model.modules() for p in module.parameters(recurse=False)}
    roles = {}
    for name, parameter in model.named_parameters():
        owner = owners[id(parameter)]
        if owner is head:
            role = "head"
        elif isinstance(owner, (nn.Embedding, nn.EmbeddingBag)):
            role = "embedding"
        elif parameter in norm_parameters or isinstance(owner, (nn.LayerNorm, nn.RMSNorm)):
            role = "norm"
        elif name.rpartition(".")[2] == "bias":
            role = "bias"
        else:
            role = "hidden" if parameter.ndim > 1 else "scalar"
        roles[name] = role
    for prefix, module in model.named_modules():
        own = getattr(module, "roles", None)
        if not callable(own):
            continue
        for name, role in own().items():
            full = f"{prefix}.{name}" if prefix else name
            if full not in roles:
                raise TpError(f"{type(module).__qualname__}.roles(): no parameter '{name}'")
            if role not in ROLES:
                raise TpError(f"{type(module).__qualname__}.roles(): '{role}' is none of {ROLES}")
            roles[full] = role
    return roles
