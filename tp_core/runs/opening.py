"""Open a run: its plan, its tokenizer, and the model of a checkpoint.

The output of `tp export` is opened the same way.
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

from tp_core.config.plan import Plan, make_plan
from tp_core.config.read_file import read_config
from tp_core.config.schema import Config
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import TpError, UnusableRun
from tp_core.files import read_json
from tp_core.kernel.catalogue import Catalogue
from tp_core.model.decoder import Decoder
from tp_core.model.device import Autocast, autocast_for, pick_device
from tp_core.runs.checkpoint import load_checkpoint
from tp_core.runs.directory import RunDir
from tp_core.runs.plugin_drift import plugin_drift
from tp_core.runs.requirements import requirements

EXPORTED = "model.safetensors"


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """A trained model, ready for use; `step` is the step of its checkpoint.

    `plugin_drift` has a sentence for each plugin that differs from the one it was trained with.
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
        """The run's config, with all defaults filled in."""
        return self.plan.config


@dataclass(frozen=True)
class Weights:
    """The weights of a model, and their step."""

    tensors: Mapping[str, torch.Tensor]
    step: int


def load_run(
    path: str | Path, checkpoint: str = "best_val", *, strict_plugins: bool = False
) -> LoadedRun:
    """Open a run's directory, or the output of `tp export`.

    ```python
    from tp_core.interfaces import SequenceInfo

    run = tp_core.load_run("runs/20260101-120000-abc123")
    ids = torch.tensor([[run.tokenizer.bos_id, *run.tokenizer.encode("the moon")]])
    logits, _ = run.model(ids, SequenceInfo.of_rows(torch.tensor([ids.shape[1]]), ids.shape[1]))
    ```

    The model is in evaluation mode, on the best available device; `run.config` is its config. Warns
    if installed plugins differ from those it was trained with; with `strict_plugins`, that is an
    error. Raises `TpError` if the run can't be opened.
    """
    run = RunDir(Path(path))
    if not run.path.is_dir():
        raise TpError(
            f"no such directory: {run.path}; give the directory of a run or of 'tp export'"
        )
    loaded = open_run(run, checkpoint, strict_plugins=strict_plugins)
    for sentence in loaded.plugin_drift:
        warnings.warn(sentence, stacklevel=2)
    return loaded


def open_plan(run: RunDir) -> Plan:
    """The plan of a run, with the components as currently installed.

    Raises `TpError` with what to install if a component's distribution is missing.
    """
    if not run.config_path.exists():
        raise UnusableRun(
            f"run '{run.id}' has no config.json: it was stopped before training began, or is "
            "damaged; start a new run with 'tp train'"
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
            f"but {c['distribution']} is not installed"
            for c in missing
        ]
        wanted = " ".join(map(_as_argument, requirements(missing)))
        raise UnusableRun(
            "\n".join([*lines, f"Install the version used by the run: pip install {wanted}"])
        )
    return make_plan(read_config(run.config_path), catalogue=catalogue)


def _as_argument(requirement: str) -> str:
    """A line of a requirements file, quoted for a shell."""
    return requirement if requirement.startswith("-e ") else shlex.quote(requirement)


def open_run(
    run: RunDir, checkpoint: str = "best_val", *, strict_plugins: bool = False
) -> LoadedRun:
    """Load a checkpoint's model in evaluation mode, on the best available device.

    Raises `TpError` if there is no such checkpoint or it doesn't fit the model; with
    `strict_plugins`, also if a plugin differs from the one it was trained with.
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
        hint = f"available: {', '.join(others)}" if others else "it has none"
        raise UnusableRun(f"run '{run.id}' has no checkpoint '{checkpoint}'; {hint}")
    return path


def plugin_drift_of(run: RunDir, plan: Plan) -> list[str]:
    """A sentence for each plugin of a run that differs from the one it was trained with."""
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
        raise TpError(
            f"{path} is damaged or was not written by 'tp export' ({error}): export the run again"
        ) from None


def doesnt_fit(what: str, error: Exception) -> TpError:
    """The error for a checkpoint whose tensors don't match the model."""
    # The first line of torch's message has no details.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = lines[1] if len(lines) > 1 else "".join(lines)
    return TpError(
        f"{what} doesn't match the model; config.json or an installed component has changed "
        f"({detail})"
    )
