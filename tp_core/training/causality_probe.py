"""Check the assembled model before training: does any token see a later one?

A model that does learns to copy its answer, and its loss means nothing. Built-in components are
proven by their tests; this runs when a component of the model comes from anyone else.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import LAYER_KINDS
from tp_core.model.decoder import Decoder

_ROWS, _LENGTH = 2, 12
# Rounding may differ where a component regroups its tokens (experts); a leak of real use to a model
# moves its logits by far more than this share of their size.
_TOLERANCE = 1e-4


def foreign(components: list[ResolvedComponent]) -> list[ResolvedComponent]:
    """The components of the model that are not built in."""
    return [c for c in components if c.kind in LAYER_KINDS and not c.registered.plugin.builtin]


def find_leak(model: Decoder, components: list[ResolvedComponent]) -> str | None:
    """What leaks, in words, or None. `model` itself is left as it is.

    Two batches alike up to a point are run, in training and in evaluation; up to that point every
    module's output must be alike too. The first one that isn't is where the leak is.
    """
    probe = copy.deepcopy(model).cpu()
    length = min(_LENGTH, model.max_seq_len)
    names = _component_names(probe, components)
    vocab = probe.embedding.num_embeddings
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in probe.parameters():
            # A start of zeros (a closed gate, say) would hide what is behind it.
            parameter.add_(0.05 * torch.randn_like(parameter))
        tokens = torch.randint(vocab, (_ROWS, length))
        for cut in (1, length // 2, length - 1):
            other = tokens.clone()
            other[:, cut:] = (tokens[:, cut:] + 1 + torch.randint(vocab - 1, (1,))) % vocab
            for training in (False, True):
                probe.train(training)
                before, after = _outputs(probe, tokens), _outputs(probe, other)
                for (module, a), (_, b) in zip(before, after, strict=True):
                    scale = a.abs().amax().clamp(min=1e-6)
                    if not bool((a[:, :cut] - b[:, :cut]).abs().amax() <= _TOLERANCE * scale):
                        return f"{names.get(module, 'the model')} lets tokens see later ones"
    return None


def _outputs(probe: Decoder, tokens: Tensor) -> list[tuple[nn.Module, Tensor]]:
    """The [B, T, ...] output of every module, in the order they finish."""
    found: list[tuple[nn.Module, Tensor]] = []

    def record(module: nn.Module, inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor) and first.shape[:2] == tokens.shape:
            found.append((module, first.float()))

    handles = [module.register_forward_hook(record) for module in probe.modules()]
    torch.manual_seed(1)  # the same dropout both times
    lengths = torch.full((len(tokens),), tokens.shape[1])
    probe(tokens, SequenceInfo.of_rows(lengths, tokens.shape[1]))
    for handle in handles:
        handle.remove()
    return found


def _component_names(probe: Decoder, components: list[ResolvedComponent]) -> dict[nn.Module, str]:
    """Which component each module belongs to, by the class it was built from."""
    names: dict[nn.Module, str] = {}
    by_class = {c.registered.component.target: c for c in components}
    encodings = sorted({c.name for c in components if c.kind == "positional_encoding"})
    owner: list[tuple[str, str]] = []
    for path, module in probe.named_modules():
        for cls in type(module).__mro__:
            resolved = by_class.get(f"{cls.__module__}:{cls.__qualname__}")
            if resolved is None:
                continue
            text = f"{resolved.kind} '{resolved.name}'"
            if resolved.kind == "attention":
                text += f" (with positional encoding {', '.join(map(repr, encodings))})"
            owner.append((path, text))
            break
        inside = [text for prefix, text in owner if path == prefix or path.startswith(f"{prefix}.")]
        if inside:
            names[module] = inside[-1]
    return names


def probe_causality(model: Decoder, components: list[ResolvedComponent], *, allowed: bool) -> str:
    """What the probe found, for the provenance. Raises `TpError` for a leak that isn't allowed."""
    suspects = foreign(components)
    if not suspects:
        return "built-in components only"
    leak = find_leak(model, components)
    if leak is None:
        return "no leak"
    if allowed:
        return f"{leak} (train.allow_leak = true)"
    names = ", ".join(f"'{c.name}' {c.registered.plugin.version}" for c in suspects)
    packages = dict.fromkeys(c.registered.plugin.distribution for c in suspects)
    tests = " and ".join(f"`tp plugins test {name}`" for name in packages)
    raise TpError(
        f"{leak}, so its losses would be meaningless. Third-party components: {names}\n"
        f"  run {tests} to find the problem; "
        "train.allow_leak = true trains anyway, and is recorded in the run"
    )
