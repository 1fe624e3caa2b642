"""Opening what a training left behind: its plan, its tokenizer, and the model of a checkpoint.

What `tp export` writes is opened the same way.
"""

from __future__ import annotations

import json
import re
import shlex
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tp_core.config.files import read_config
from tp_core.config.plan import Plan, make_plan
from tp_core.config.schema import Config
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import TpError, UnusableRun
from tp_core.files import read_json
from tp_core.kernel.catalogue import Catalogue
from tp_core.model.decoder import Decoder
from tp_core.model.device import Autocast, autocast_for, pick_device
from tp_core.runs.checkpoint import load_checkpoint
from tp_core.runs.directory import RunDir
from tp_core.runs.plugin_drift import plugin_drift, requirements

EXPORTED = "model.safetensors"


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """A trained model, ready for use; `step` is the one its checkpoint was taken at.

    `plugin_drift` says of each plugin that isn't the one it was trained with how it differs.
    """

    run: RunDir
    plan: Plan
    tokenizer: Tokenizer
    model: Decoder
    autocast: Autocast
    step: int
    plugin_drift: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<LoadedRun {self.run.path} at step {self.step}>"

    @property
    def config(self) -> Config:
        """The run's config, every default written out."""
        return self.plan.config


@dataclass(frozen=True)
class Weights:
    """The tensors of a model, and the step they were taken at."""

    tensors: Mapping[str, torch.Tensor]
    step: int


def load_run(
    path: str | Path, checkpoint: str = "best_val", *, strict_plugins: bool = False
) -> LoadedRun:
    """Open a run's directory, or one that `tp export` wrote, from Python.

    ```python
    from tp_core.interfaces import SequenceInfo

    run = tp_core.load_run("runs/20260101-120000-abc123")
    ids = torch.tensor([[run.tokenizer.bos_id, *run.tokenizer.encode("the moon")]])
    logits, _ = run.model(ids, SequenceInfo.of_rows(torch.tensor([ids.shape[1]]), ids.shape[1]))
    ```

    The model is in evaluation mode, on the best device there is; `run.config` is its config. Where
    installed plugins differ from those it was trained with, a warning says so; `strict_plugins`
    makes that an error. Raises `TpError` where there is nothing to open.
    """
    run = RunDir(Path(path))
    if not run.path.is_dir():
        raise TpError(f"no such directory: {run.path}; give a run's, or one 'tp export' wrote")
    loaded = open_run(run, checkpoint, strict_plugins=strict_plugins)
    for sentence in loaded.plugin_drift:
        warnings.warn(sentence, stacklevel=2)
    return loaded


def open_plan(run: RunDir) -> Plan:
    """The plan of a run, its components as installed now.

    Raises `TpError` with what to install where a component's distribution is missing.
    """
    if not run.config_path.exists():
        raise UnusableRun(
            f"run '{run.id}' has no config.json: it was stopped before it began, or damaged; "
            "'tp train' makes a new one"
        )
    catalogue = Catalogue()
    installed = {plugin.distribution for plugin in catalogue.plugins}
    missing = [
        component
        for component in read_json(run.provenance_path).get("components", [])
        if component["distribution"] not in installed
    ]
    if missing:
        lines = [
            f"run '{run.id}' uses {c['kind']} '{c['name']}', "
            f"and {c['distribution']} is not installed"
            for c in missing
        ]
        wanted = " ".join(map(_as_argument, requirements(missing)))
        raise UnusableRun(
            "\n".join([*lines, f"Install it as the run had it: pip install {wanted}"])
        )
    return make_plan(read_config(run.config_path), catalogue=catalogue)


def _as_argument(requirement: str) -> str:
    """A line of a requirements file as a shell takes it."""
    return requirement if requirement.startswith("-e ") else shlex.quote(requirement)


def open_run(
    run: RunDir, checkpoint: str = "best_val", *, strict_plugins: bool = False
) -> LoadedRun:
    """The model of a run's checkpoint, in evaluation mode, on the best device there is.

    Raises `TpError` where there is no such checkpoint, or it doesn't fit; with `strict_plugins`,
    also where a plugin isn't the one it was trained with.
    """
    exported = run.path / EXPORTED
    path = exported if exported.exists() else _checkpoint_path(run, checkpoint)
    plan = open_plan(run)
    drifted = plugin_drift_of(run, plan)
    if strict_plugins and drifted:
        raise UnusableRun("\n".join(drifted))
    weights = _exported(path) if path == exported else _weights(path)
    tokenizer = Tokenizer.load(run.tokenizer_path)
    model = Decoder(plan, tokenizer.vocab_size)
    try:
        model.load_state_dict(dict(weights.tensors))
    except (KeyError, RuntimeError) as error:
        raise doesnt_fit(str(path), error) from error
    device = pick_device("auto")
    return LoadedRun(
        run=run,
        plan=plan,
        tokenizer=tokenizer,
        model=model.to(device).eval(),
        autocast=autocast_for(device, plan.config.train.precision),
        step=weights.step,
        plugin_drift=tuple(drifted),
    )


def _checkpoint_path(run: RunDir, checkpoint: str) -> Path:
    path = run.checkpoints_dir / f"{checkpoint}.pt"
    if not re.fullmatch(r"\w+", checkpoint) or not path.exists():
        others = [p.stem for p in sorted(run.checkpoints_dir.glob("*.pt")) if p.stem != "previous"]
        hint = f"it has: {', '.join(others)}" if others else "it has none"
        raise UnusableRun(f"run '{run.id}' has no checkpoint '{checkpoint}'; {hint}")
    return path


def plugin_drift_of(run: RunDir, plan: Plan) -> list[str]:
    """How the plugins a run's plan uses differ from those it was trained with, a sentence each."""
    records = read_json(run.provenance_path).get("components", [])
    return plugin_drift(run.id, records, (chosen.registered.plugin for chosen in plan.components()))


def _weights(path: Path) -> Weights:
    payload = load_checkpoint(path)
    return Weights(payload["model"], json.loads(payload["state"])["step"])


def _exported(path: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            step = int((file.metadata() or {})["step"])
            names = file.keys()
            return Weights({name: file.get_tensor(name) for name in names}, step)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise TpError(f"{path} is damaged, or not of 'tp export' ({error}): export again") from None


def doesnt_fit(what: str, error: Exception) -> TpError:
    """The error that a checkpoint's tensors are not those of the model built for them."""
    # The first line of torch's own says only that there is an error.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = lines[1] if len(lines) > 1 else "".join(lines)
    return TpError(
        f"{what} fits neither config.json as it is now nor the components as installed: {detail}"
    )
