"""Which components may stand together: sizes, and the sites an encoding needs. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tp_core.component import SITES
from tp_core.config.resolve import Chosen, Complain
from tp_core.config.schema import Config, Model
from tp_core.options import Dims
from tp_core.plugins import Catalogue, Registered


@dataclass(frozen=True)
class LayerPlan:
    """The components of one layer; `label` is its place in `model.pattern`, empty without one."""

    index: int
    label: str
    chosen: Mapping[str, Chosen | None]
    mlp_enabled: bool

    def __getitem__(self, kind: str) -> Chosen:
        found = self.chosen[kind]
        assert found is not None, f"layer {self.index} has no {kind}"
        return found

    def components(self) -> list[Chosen]:
        """What the layer builds, in a stable order."""
        return [c for k, c in self.chosen.items() if c and (k != "mlp" or self.mlp_enabled)]


def base_dims(config: Config) -> Dims:
    """The sizes of the whole model."""
    model = config.model
    return Dims(
        dim=model.d_model,
        d_model=model.d_model,
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        head_dim=model.d_model // model.n_heads,
        max_seq_len=model.max_seq_len,
        max_steps=config.train.max_steps,
    )


def check_sizes(model: Model, complain: Complain) -> bool:
    """Whether the model's own sizes fit; nothing else can be checked where they don't."""
    if len(model.pattern) > model.n_layers:
        complain(
            ("model", "pattern"),
            f"has {len(model.pattern)} labels for n_layers = {model.n_layers}; shorten it",
        )
    if model.d_model % model.n_heads:
        complain(
            ("model", "d_model"),
            f"{model.d_model} is not divisible by n_heads = {model.n_heads}; "
            f"the nearest that is: {_nearest_multiple(model.d_model, model.n_heads)}",
        )
        return False
    return True


def check_loose(
    named: Mapping[tuple[str, str], Chosen | None], dims: Dims, complain: Complain
) -> None:
    """What the options of components outside the layers say of these sizes."""
    for key, chosen in named.items():
        for message in chosen.options.problems(dims) if chosen else ():
            complain(key, f"{chosen.kind} '{chosen.name}': {message}" if chosen else message)


def check_layers(
    layers: Sequence[LayerPlan],
    model_wide: Chosen | None,
    dims: Dims,
    catalogue: Catalogue,
    complain: Complain,
) -> None:
    """What options and sites say of each layer; equal findings are told once, with their layers."""
    found: dict[tuple[tuple[str, ...], str], list[LayerPlan]] = {}
    for layer in layers:
        for kind, message in _layer_problems(layer, model_wide, dims, catalogue):
            key = ("model", "layers", layer.label, kind) if layer.label else ("model", kind)
            found.setdefault((key, message), []).append(layer)
    for (key, message), concerned in found.items():
        complain(key, f"{_where(concerned)}: {message}")


def _layer_problems(
    layer: LayerPlan, model_wide: Chosen | None, dims: Dims, catalogue: Catalogue
) -> Iterable[tuple[str, str]]:
    here = replace(dims, layer_index=layer.index)
    for chosen in layer.components():
        if chosen.kind == "positional_encoding":
            continue
        for message in chosen.options.problems(here):
            yield chosen.kind, f"{chosen.kind} '{chosen.name}': {message}"
    encoding, attention = layer.chosen["positional_encoding"], layer.chosen["attention"]
    if encoding and model_wide and encoding.spec != model_wide.spec:
        for one in (model_wide, encoding):
            if "embed" in one.registered.component.needs:
                yield (
                    "positional_encoding",
                    f"'{one.name}' acts on the embeddings, which all layers share: "
                    "it can only be the encoding of the whole model",
                )
    if encoding is None or attention is None:
        return
    needs = encoding.registered.component.needs
    offers = attention.options.offers(here)
    missing = [site for site in needs if site not in offers]
    if missing:
        yield "positional_encoding", _refusal(layer, encoding, attention, here, catalogue)
        return
    told = set()
    for site in needs:
        for message in encoding.options.problems(replace(here, **offers[site])):
            if message not in told:
                told.add(message)
                yield "positional_encoding", f"positional encoding '{encoding.name}': {message}"


def _refusal(
    layer: LayerPlan, encoding: Chosen, attention: Chosen, dims: Dims, catalogue: Catalogue
) -> str:
    needs = encoding.registered.component.needs
    offered = attention.options.offers(dims)
    missing = [site for site in needs if site not in offered]
    sites = "sites" if len(missing) > 1 else "site"
    names = ", ".join(f"'{site}'" for site in missing)
    has = ", ".join(site for site in SITES if site in offered) or "none"
    table = f"[model.layers.{layer.label}]" if layer.label else "[model]"
    message = (
        f"positional encoding '{encoding.name}' needs {sites} {names}; "
        f"attention '{attention.name}' offers {has}."
    )
    encodings = _names(
        catalogue,
        "positional_encoding",
        lambda r: all(site in offered for site in r.component.needs),
    )
    attentions = _names(catalogue, "attention", lambda r: _serves(r, needs, dims))
    if encodings:
        message += f" In {table} set positional_encoding to one of: {', '.join(encodings)}"
        message += f"; or attention to one of: {', '.join(attentions)}" if attentions else ""
    elif attentions:
        message += f" In {table} set attention to one of: {', '.join(attentions)}"
    return message


def _names(catalogue: Catalogue, kind: str, fits: Callable[[Registered], bool]) -> list[str]:
    """Components of a kind that would fit, out of those already loaded: no foreign code is run."""
    return [r.qualified for r in catalogue.loaded(kind) if fits(r)]


def _serves(attention: Registered, needs: Sequence[str], dims: Dims) -> bool:
    try:
        offers = attention.component.options().offers(dims)
    except ValueError:  # an option without a default: nothing is known of its sites
        return False
    return all(site in offers for site in needs)


def _where(layers: Sequence[LayerPlan]) -> str:
    label = layers[0].label
    numbers = _ranges([layer.index for layer in layers])
    word = "layers" if len(layers) > 1 else "layer"
    return f'{word} {numbers} (pattern "{label}")' if label else f"{word} {numbers}"


def _ranges(numbers: Sequence[int]) -> str:
    """0,1,2,5 as `0-2,5`."""
    runs = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(runs)


def _nearest_multiple(number: int, factor: int) -> int:
    return max(factor, round(number / factor) * factor)
