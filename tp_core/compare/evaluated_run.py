"""One side of a comparison: what is known of a run, measured and read from its files."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tp_core.data.dataset import Dataset, TokenizedSplit
from tp_core.errors import TpError
from tp_core.evaluation.losses import measure_lines
from tp_core.files import read_json
from tp_core.generation.generate import encode_prompt, generate
from tp_core.generation.sampler_chain import SamplerChain
from tp_core.interfaces.metrics import SplitLosses
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.runs.data import open_run_data
from tp_core.runs.directory import RunDir
from tp_core.runs.jsonl import read_jsonl
from tp_core.runs.opening import LoadedRun, open_run

_BATCH = 64


@dataclass(frozen=True)
class Sample:
    """A text, prompt included; `known` says whether it stands in the data: `new`, `in train`,
    `in val`, or `?` where the data can't be read."""

    text: str
    stopped: str
    known: str


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """What a comparison shows of one run.

    - `parameters`; `flops_per_token`, forward, at full context; `tokens_per_second`, the median
      over its training steps, on the machine it was trained on;
    - `loss` (nats per token) and `bits_per_byte` over all validation lines;
    - `scores`, of these lines in the order of the file, and `lines`, a hash of which they are;
      both are missing where `without` says why.
    """

    id: str
    step: int
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    tokenizer: str
    parameters: int
    flops_per_token: float
    tokens_per_second: float | None
    samples: tuple[Sample, ...]
    losses: SplitLosses | None
    lines: str | None
    without: str
    plugin_drift: tuple[str, ...] = ()

    @property
    def loss(self) -> float | None:
        return self.losses.loss if self.losses else None

    @property
    def bits_per_byte(self) -> float | None:
        return self.losses.bits_per_byte if self.losses else None

    @property
    def seed(self) -> int:
        return int(self.config["train"]["seed"])


@dataclass(frozen=True)
class Sampling:
    """What every run is asked to write: the same prompt, the same seed."""

    prompt: str
    n_samples: int
    max_new_tokens: int | None
    seed: int


def evaluate_run(
    run: RunDir, checkpoint: str, sampling: Sampling, *, strict_plugins: bool = False
) -> EvaluatedRun:
    """Load, score and sample a run. Raises `TpError` where `open_run` does."""
    loaded = open_run(run, checkpoint, strict_plugins=strict_plugins)
    ids = encode_prompt(loaded.tokenizer, sampling.prompt, loaded.model.max_seq_len)
    dataset, without = _data(loaded)
    losses = lines = None
    if dataset is not None:
        losses = measure_lines(loaded.model, loaded.tokenizer, dataset.val, _BATCH, loaded.autocast)
        lines = _identity(dataset.val)
        without = "" if len(dataset.val) else "it has no validation lines"
    return EvaluatedRun(
        id=run.id,
        step=loaded.step,
        config=loaded.plan.config.as_data(),
        provenance=read_json(run.provenance_path),
        tokenizer=hashlib.sha256(loaded.tokenizer.model_bytes).hexdigest(),
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        flops_per_token=flops_per_token(loaded),
        tokens_per_second=_speed(run),
        samples=_samples(loaded, ids, sampling, dataset),
        losses=None if without else losses,
        lines=None if without else lines,
        without=without,
        plugin_drift=loaded.plugin_drift,
    )


def flops_per_token(loaded: LoadedRun) -> float:
    """Floating point operations of a forward pass over a full context, per token, as PyTorch counts
    them: multiplications and additions of matrix products, attention over all pairs of tokens."""
    length = loaded.plan.config.model.max_seq_len
    device = loaded.model.embedding.weight.device
    tokens = torch.zeros(1, length, dtype=torch.int64, device=device)
    seq = SequenceInfo.of_rows(torch.tensor([length], device=device), length)
    # Fused attention on a CPU is not counted, its parts are.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loaded.model(tokens, seq)
    return float(counter.get_total_flops()) / length


def _data(loaded: LoadedRun) -> tuple[Dataset | None, str]:
    try:
        return open_run_data(loaded), ""
    except TpError as error:
        return None, str(error)


def _identity(split: TokenizedSplit) -> str:
    """Which lines a split has, and how far each is counted: no tokenizer enters it."""
    digest = hashlib.sha256()
    for array in (split.utf8, split.bytes_, split.has_eos):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _speed(run: RunDir) -> float | None:
    rates = [
        rate
        for line in (read_jsonl(run.metrics_path) if run.metrics_path.exists() else [])
        if isinstance(rate := (line.get("perf") or {}).get("tokens_per_second"), (int, float))
    ]
    return statistics.median(rates) if rates else None


def _samples(
    loaded: LoadedRun, ids: Sequence[int], sampling: Sampling, dataset: Dataset | None
) -> tuple[Sample, ...]:
    plan = loaded.plan
    continuations = generate(
        loaded.model,
        SamplerChain.of(plan, loaded.tokenizer),
        loaded.tokenizer,
        [ids] * sampling.n_samples,
        max_new_tokens=sampling.max_new_tokens or plan.config.sampling.max_new_tokens,
        seed=sampling.seed,
        autocast=loaded.autocast,
    )
    texts = [sampling.prompt + loaded.tokenizer.decode(c.tokens) for c in continuations]
    known = dict.fromkeys(texts, "?" if dataset is None else "new")
    for name, split in (("val", dataset.val), ("train", dataset.train)) if dataset else ():
        wanted = {text.encode() for text in texts}
        for index in range(len(split)):
            if (line := split.text_bytes(index)) in wanted:
                known[line.decode()] = f"in {name}"
    return tuple(
        Sample(text, c.stopped, known[text]) for text, c in zip(texts, continuations, strict=True)
    )
