"""Opening what a training left behind: its plan, its tokenizer, and the model of a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tp_core.checkpoint import load_checkpoint
from tp_core.config.files import read_config
from tp_core.config.plan import Plan, make_plan
from tp_core.device import Autocast, autocast_for, pick_device
from tp_core.errors import TpError
from tp_core.model import Decoder
from tp_core.plugins import Catalogue
from tp_core.runs import RunDir, read_json
from tp_core.tokenizer import Tokenizer

Checkpoint = Literal["best_val", "last"]


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A trained model, ready for use; `step` is the one its checkpoint was taken at."""

    run: RunDir
    plan: Plan
    tokenizer: Tokenizer
    model: Decoder
    autocast: Autocast
    step: int


def open_plan(run: RunDir) -> Plan:
    """The plan of a run, its components as installed now.

    Raises `TpError` with what to install where a component's distribution is missing.
    """
    if not run.config_path.exists():
        raise TpError(
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
        raise TpError("\n".join([*lines, f"Install it: pip install {_requirements(missing)}"]))
    return make_plan(read_config(run.config_path), catalogue=catalogue)


def _requirements(components: list[Mapping[str, Any]]) -> str:
    return " ".join(dict.fromkeys(f"{c['distribution']}=={c['version']}" for c in components))


def load_run(run: RunDir, checkpoint: Checkpoint = "best_val") -> LoadedRun:
    """The model of a run's checkpoint, in evaluation mode, on the best device there is.

    Raises `TpError` where there is no such checkpoint, or it doesn't fit.
    """
    path = run.last_path if checkpoint == "last" else run.best_val_path
    if not path.exists():
        others = [p.stem for p in (run.best_val_path, run.last_path) if p.exists()]
        hint = f"it has: {', '.join(others)}" if others else "it has none"
        raise TpError(f"run '{run.id}' has no checkpoint '{checkpoint}'; {hint}")
    plan = open_plan(run)
    payload = load_checkpoint(path)
    tokenizer = Tokenizer.load(run.tokenizer_path)
    model = Decoder(plan, tokenizer.vocab_size)
    try:
        model.load_state_dict(payload["model"])
    except (KeyError, RuntimeError) as error:
        raise doesnt_fit(str(path), error) from error
    device = pick_device("auto")
    return LoadedRun(
        run=run,
        plan=plan,
        tokenizer=tokenizer,
        model=model.to(device).eval(),
        autocast=autocast_for(device, plan.config.train.precision),
        step=json.loads(payload["state"])["step"],
    )


def doesnt_fit(what: str, error: Exception) -> TpError:
    """The error that a checkpoint's tensors are not those of the model built for them."""
    # The first line of torch's own says only that there is an error.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = lines[1] if len(lines) > 1 else "".join(lines)
    return TpError(
        f"{what} fits neither config.json as it is now nor the components as installed: {detail}"
    )
