"""Check that components fit together: sizes, and the sites encodings need. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

from tp_core.config.components import ResolvedComponent
from tp_core.config.schema import Config
from tp_core.config.size_problems import SizeProblem, failure, size_problems
from tp_core.config.source_lines import KeyPath
from tp_core.errors import did_you_mean
from tp_core.kernel.catalogue import Catalogue, RegisteredComponent
from tp_core.kernel.component import SITES
from tp_core.kernel.options import Dims, Options

ENCODING = "positional_encoding"


class AddProblem(Protocol):
    def __call__(self, key: KeyPath, message: str, *blame: KeyPath) -> None:
        """Report a problem of `key`; `blame` lists other settings that may have caused it."""


@dataclass(frozen=True)
class LayerPlan:
    """The components of one layer; `label` is its label in `model.pattern`, if any."""

    index: int
    label: str
    resolved: Mapping[str, ResolvedComponent | None]
    mlp_enabled: bool

    def __getitem__(self, kind: str) -> ResolvedComponent:
        found = self.resolved[kind]
        assert found is not None, f"layer {self.index} has no {kind}"
        return found

    def components(self) -> list[ResolvedComponent]:
        """The components that the layer builds, in a stable order."""
        return [c for k, c in self.resolved.items() if c and (k != "mlp" or self.mlp_enabled)]


def base_dims(config: Config) -> Dims:
    """The model-wide sizes."""
    model = config.model
    return Dims(
        dim=model.d_model,
        d_model=model.d_model,
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        head_dim=model.d_model // model.n_heads,
        max_seq_len=model.max_seq_len,
        max_steps=config.train.max_steps,
        eval_interval=config.train.eval_interval,
    )


def check_sizes(
    key: KeyPath, resolved: ResolvedComponent | None, dims: Dims, add_problem: AddProblem
) -> None:
    """Report problems of a component outside the layers with these sizes."""
    if resolved is None:
        return
    for message, blame in size_problems(resolved.options, dims):
        add_problem(key, f"{_title(resolved)}: {message}", *blame)


def check_layers(
    layers: Sequence[LayerPlan],
    model_wide: ResolvedComponent | None,
    own: Mapping[str, Iterable[str]],
    dims: Dims,
    catalogue: Catalogue,
    add_problem: AddProblem,
) -> None:
    """Check options and sites of every layer; equal problems are reported once for all layers.

    `own` has the kinds overridden in [model.layers.LABEL], where their problems are reported.
    """
    found: dict[tuple[KeyPath, SizeProblem], list[LayerPlan]] = {}
    for layer in layers:
        mine = set(own.get(layer.label, ()))
        for kinds, one in _layer_problems(layer, model_wide, mine, dims, catalogue):
            kind = next((kind for kind in kinds if kind in mine), "")
            key: KeyPath = ("model", kinds[0])
            if kind:
                key = ("model", "layers", layer.label, kind)
            found.setdefault((key, one), []).append(layer)
    for (key, (message, settings)), concerned in found.items():
        pair = (ENCODING, "attention") if key[-1] in (ENCODING, "attention") else ()
        blame = [(*key[:-1], kind) for kind in pair] + [("model", kind) for kind in pair]
        add_problem(key, f"{_where(concerned)}: {message}", *blame, *settings)


def _layer_problems(
    layer: LayerPlan,
    model_wide: ResolvedComponent | None,
    own: set[str],
    dims: Dims,
    catalogue: Catalogue,
) -> Iterator[tuple[tuple[str, ...], SizeProblem]]:
    """Each problem with the kinds it involves."""
    here = replace(dims, layer_index=layer.index)
    for resolved in layer.components():
        if resolved.kind != ENCODING:
            for message, blame in size_problems(resolved.options, here):
                yield (resolved.kind,), SizeProblem(f"{_title(resolved)}: {message}", blame)
    encoding, attention = layer.resolved[ENCODING], layer.resolved["attention"]
    if encoding and model_wide and encoding.spec != model_wide.spec:
        for one in (model_wide, encoding):
            if _embeds(one.registered):
                told = (
                    f"{_title(one)} acts on the embeddings, which all layers share, so it must "
                    "be the same in every layer"
                )
                yield (ENCODING,), SizeProblem(told)
                return
    if encoding is None or attention is None:
        return
    try:
        offered = _sites(attention.options, here)
    except Exception as error:  # a plugin's own code
        told = f"{_title(attention)}: offers() failed: {failure(error)}"
        yield ("attention",), SizeProblem(told)
        return
    needs = encoding.registered.component.needs
    if any(site not in offered for site in needs):
        table = f"[model.layers.{layer.label}]" if {ENCODING, "attention"} & own else "[model]"
        told = _refusal(encoding, attention, offered, here)
        told += _advice(encoding, offered, table, here, catalogue)
        yield (ENCODING, "attention"), SizeProblem(told)
        return
    # Report each problem once, even if it occurs at every site.
    sizes = [offered[site] for site in needs] or [here]
    said = {one: there for there in sizes for one in size_problems(encoding.options, there)}
    for (message, blame), there in said.items():
        if there == here:
            yield (ENCODING,), SizeProblem(f"{_title(encoding)}: {message}", blame)
        else:
            at = f"{_title(encoding)} on attention '{attention.name}'"
            yield (ENCODING, "attention"), SizeProblem(f"{at}: {message}", blame)


def _title(resolved: ResolvedComponent) -> str:
    return f"{resolved.kind.replace('_', ' ')} '{resolved.name}'"


def _embeds(registered: RegisteredComponent) -> bool:
    return "embed" in registered.component.needs


def _sites(options: Options, dims: Dims) -> dict[str, Dims]:
    """The sites an attention offers, with their sizes. Raises whatever `offers` raises."""
    offered = {site: replace(dims, **sizes) for site, sizes in options.offers(dims).items()}
    for site in offered:
        if site not in SITES:
            raise ValueError(f"'{site}' is not a site.{did_you_mean(site, SITES)}")
    return offered


def _refusal(
    encoding: ResolvedComponent,
    attention: ResolvedComponent,
    offered: Mapping[str, Dims],
    dims: Dims,
) -> str:
    missing = [f"'{s}'" for s in encoding.registered.component.needs if s not in offered]
    has = ", ".join(site for site in SITES if site in offered) or "none"
    return (
        f"{_title(encoding)} needs site{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
        f"{_title(attention)} offers {has}."
    )


def _advice(
    encoding: ResolvedComponent,
    offered: Mapping[str, Dims],
    table: str,
    dims: Dims,
    catalogue: Catalogue,
) -> str:
    """Compatible components among those already loaded; no plugin is loaded for a hint."""

    def encodes(registered: RegisteredComponent) -> bool:
        needs = registered.component.needs
        if _embeds(registered) and table != "[model]":
            return False
        there = [offered[site] for site in needs if site in offered]
        return len(there) == len(needs) and all(_fits(registered, d) for d in there)

    def attends(registered: RegisteredComponent) -> bool:
        try:
            sites = _sites(registered.component.options(), dims)
        except Exception:  # an option without a default, or an error in a plugin
            return False
        needs = encoding.registered.component.needs
        there = [sites[site] for site in needs if site in sites]
        fits = len(there) == len(needs) and not any(
            size_problems(encoding.options, d) for d in there
        )
        return fits and _fits(registered, dims)

    encodings = _names(catalogue, ENCODING, encodes)
    attentions = _names(catalogue, "attention", attends)
    advice = [_choice(ENCODING, encodings), _choice("attention", attentions)]
    return f" In {table} set {'; or '.join(filter(None, advice))}" if any(advice) else ""


def _choice(kind: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f'{kind} = "{names[0]}"'
    return f"{kind} to one of: {', '.join(names)}" if names else ""


def _names(
    catalogue: Catalogue, kind: str, fits: Callable[[RegisteredComponent], bool]
) -> list[str]:
    return [r.qualified for r in catalogue.loaded(kind) if fits(r)]


def _fits(registered: RegisteredComponent, dims: Dims) -> bool:
    """Whether a component with default options has no problems with these sizes."""
    try:
        return not size_problems(registered.component.options(), dims)
    except ValueError:  # an option without a default
        return False


def _where(layers: Sequence[LayerPlan]) -> str:
    numbers = _ranges([layer.index for layer in layers])
    labels = ", ".join(dict.fromkeys(f'"{layer.label}"' for layer in layers if layer.label))
    word = "layers" if len(layers) > 1 else "layer"
    return f"{word} {numbers} (pattern {labels})" if labels else f"{word} {numbers}"


def _ranges(numbers: Sequence[int]) -> str:
    """Format 0,1,2,5 as `0-2,5`."""
    runs = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(runs)
