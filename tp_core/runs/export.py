"""Export a trained model in common formats: safetensors, JSON, SentencePiece."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from safetensors.torch import save_file

from tp_core.errors import RunFailed, TpError
from tp_core.runs.directory import RunDir
from tp_core.runs.opening import EXPORTED, LoadedRun


def export(loaded: LoadedRun, out: Path) -> None:
    """Write `out`/: `model.safetensors`, `config.json`, `provenance.json`, `tokenizer/spm.model`.

    `tp_core.load_run(out)` opens it again. The weights are named as in `model.state_dict()`; the
    step they were taken at is in the file's metadata. Raises `TpError` where `out` exists, and
    `RunFailed` where it can't be written; then there is no `out`.
    """
    if out.exists():
        raise TpError(f"'{out}' already exists: choose another --out")
    made = RunDir(out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp"))
    try:
        made.tokenizer_path.parent.mkdir(parents=True)
        tensors = {name: t.contiguous().cpu() for name, t in loaded.model.state_dict().items()}
        metadata = {"format": "pt", "run": loaded.run.id, "step": str(loaded.step)}
        save_file(tensors, made.path / EXPORTED, metadata)
        # safetensors creates it readable only by its owner.
        (made.path / EXPORTED).chmod(loaded.run.config_path.stat().st_mode)
        for source, target in (
            (loaded.run.config_path, made.config_path),
            (loaded.run.provenance_path, made.provenance_path),
            (loaded.run.tokenizer_path, made.tokenizer_path),
        ):
            shutil.copyfile(source, target)
        made.path.rename(out)
    except OSError as error:
        raise RunFailed(f"cannot write '{out}': {error.strerror or error}") from error
    finally:
        shutil.rmtree(made.path, ignore_errors=True)
