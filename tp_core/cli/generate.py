"""`tp generate`: generate text from a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tp_core.cli import options

if TYPE_CHECKING:
    from tp_core.config.plan import Plan
    from tp_core.runs.opening import LoadedRun


@click.command("generate", short_help="Generate text from a trained run.")
@options.runs_dir
@options.run_id
@options.checkpoint
@options.prompt
@options.n_samples(1)
@options.max_new_tokens
@options.samplers
@options.seed()
@options.strict_plugins
@click.option("--stream", is_flag=True, help="Print the text as it is generated; one sample only.")
@options.as_json
def command(
    runs_dir: Path,
    run_id: str,
    checkpoint: str,
    prompt: str,
    max_new_tokens: int | None,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    samplers: tuple[str, ...],
    n_samples: int,
    seed: int | None,
    strict_plugins: bool,
    stream: bool,
    as_json: bool,
) -> None:
    """Generate text from a trained run.

    \b
    tp generate --run-id latest --prompt "the moon" --n-samples 3
    tp generate --run-id latest --unconditional --sampler top_k,k=20

    Sampling options that are not given come from the run's config. --temperature, --top-k, --top-p
    and --min-p change that sampler in the run's chain or, if the chain has none, add it. A sampler
    is added in this order relative to the other three, or else at the end of the chain.
    """
    if stream and (n_samples > 1 or as_json):
        raise click.UsageError(
            "--stream prints one sample as text: it can't be combined with --n-samples or --json"
        )
    from tp_core.cli.terminal import warn
    from tp_core.runs.directory import find_run

    run = find_run(runs_dir, run_id)
    from tp_core.generation.generate import encode_prompt
    from tp_core.generation.sampler_overrides import with_samplers
    from tp_core.runs.opening import open_run

    loaded = open_run(run, checkpoint, strict_plugins=strict_plugins)
    for sentence in loaded.plugin_drift:
        warn(sentence)
    plan = with_samplers(
        loaded.plan, samplers, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
    )
    config = plan.config
    ids = encode_prompt(loaded.tokenizer, prompt, config.model.max_seq_len)
    settings = {
        "max_new_tokens": max_new_tokens or config.sampling.max_new_tokens,
        "seed": config.train.seed if seed is None else seed,
    }
    _run(loaded, plan, prompt, ids, n_samples, settings, stream, as_json)


def _run(
    loaded: LoadedRun,
    plan: Plan,
    prompt: str,
    ids: list[int],
    n_samples: int,
    settings: dict[str, int],
    stream: bool,
    as_json: bool,
) -> None:
    from tp_core.cli.terminal import emit, emit_json
    from tp_core.generation.generate import generate
    from tp_core.generation.sampler_chain import SamplerChain

    decoder = loaded.tokenizer.stream_decoder()

    def show(row: int, token: int) -> None:
        emit(decoder.push(token), end="")

    if stream:
        emit(prompt, end="")
    continuations = generate(
        loaded.model,
        SamplerChain.of(plan, loaded.tokenizer),
        loaded.tokenizer,
        [ids] * n_samples,
        autocast=loaded.autocast,
        on_token=show if stream else None,
        **settings,
    )
    if stream:
        emit(decoder.flush())
        return
    texts = [loaded.tokenizer.decode(c.tokens) for c in continuations]
    if not as_json:
        for text in texts:
            emit(prompt + text)
        return
    samples = [
        {
            "row": c.row,
            "prompt": prompt,
            "text": text,
            "tokens": list(c.tokens),
            "stopped": c.stopped,
        }
        for c, text in zip(continuations, texts, strict=True)
    ]
    emit_json(
        {
            "run": loaded.run.id,
            "step": loaded.step,
            **settings,
            "samplers": [chosen.spec.as_data() for chosen in plan.samplers],
            "samples": samples,
        }
    )
