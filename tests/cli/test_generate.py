"""`tp generate` from the outside: what it prints, where its settings come from, what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Done, Run
from tiny_runs import train

Generate = Callable[..., Done]
# Long enough for words to come out, and for what is said about texts to mean something.
CHANGES: dict[str, Any] = {
    "train.max_steps": 60,
    "train.eval_interval": 30,
    "train.sample_interval": 0,
    "train.learning_rate": 0.03,
    "train.seed": 5,
    "sampling.max_new_tokens": 7,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("generate"), "mine", changes=CHANGES).path.parent


@pytest.fixture
def generate(tp: Run, runs: Path) -> Generate:
    def run(*args: str, where: Path = runs) -> Done:
        return tp("generate", "--runs-dir", where, *args)

    return run


@pytest.fixture
def spoilt(runs: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be spoilt."""
    return Path(shutil.copytree(runs, tmp_path / "runs")) / "mine"


def data(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_text(generate: Generate) -> None:
    done = generate("--prompt", "the old", "--n-samples", "3")
    assert done.code == 0
    assert done.err == ""
    texts = [
        s["prompt"] + s["text"]
        for s in data(generate("--prompt", "the old", "--n-samples", "3", "--json"))["samples"]
    ]
    assert len(texts) == 3
    assert all(text.startswith("the old") for text in texts)
    assert done.out.splitlines() == texts


def test_settings_left_out_are_the_configs(generate: Generate) -> None:
    found = data(generate("--unconditional", "--json"))
    assert found["run"] == "mine"
    assert (found["seed"], found["max_new_tokens"]) == (5, 7)
    assert found["samplers"] == [
        {"name": "temperature", "temperature": 0.9},
        {"name": "top_p", "p": 0.95},
    ]
    assert len(found["samples"]) == 1
    assert len(found["samples"][0]["tokens"]) <= 7
    given = data(generate("--unconditional", "--json", "--seed", "6", "--max-new-tokens", "9"))
    assert (given["seed"], given["max_new_tokens"]) == (6, 9)


def test_samples_in_training_are_what_generate_gives(tp: Run, tmp_path: Path) -> None:
    run = train(tmp_path, "r")
    last = [json.loads(line) for line in run.samples_path.read_text().splitlines()][-5:]
    done = tp(
        *("generate", "--runs-dir", run.path.parent, "--unconditional"),
        *("--n-samples", "5", "--checkpoint", "last", "--json"),
    )
    assert [s["text"] for s in data(done)["samples"]] == [s["text"] for s in last]


def test_the_seed_and_the_row_decide(generate: Generate) -> None:
    def texts(*args: str) -> list[str]:
        return [s["text"] for s in data(generate("--prompt", "a", "--json", *args))["samples"]]

    four = texts("--n-samples", "4")
    assert texts("--n-samples", "4") == four
    assert texts("--n-samples", "2") == four[:2]
    assert len(set(four)) > 1
    assert texts("--n-samples", "4", "--seed", "9") != four


@pytest.mark.parametrize("prompt", ["", "the quiet river", "café naïve 猫 🦊"])
def test_a_stream_adds_up(prompt: str, generate: Generate) -> None:
    for seed in range(3):
        args = ("--prompt", prompt, "--seed", str(seed), "--temperature", "2.5")
        assert generate(*args, "--stream").out == generate(*args).out


def test_bytes_that_form_a_character_come_as_one(
    generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A character spelled in byte tokens is printed once it is whole; at the end, what is left."""
    printed: list[str] = []
    monkeypatch.setattr("click.echo", lambda text="", nl=True, err=False: printed.append(text))

    def spell(*args: Any, on_token: Callable[[int, int], None], **more: Any) -> list[Any]:
        for byte in "猫🦊".encode() + "猫".encode()[:2]:
            on_token(0, args[2].piece_bytes.index(bytes([byte])))
        return []

    monkeypatch.setattr("tp_core.generation.generate.generate", spell)
    generate("--prompt", "a", "--stream")
    assert [text for text in printed if text] == ["a", "猫", "🦊", "\ufffd\n"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("option", ["--stream", "--json", "--seed=1"])
def test_a_full_disk_is_said(
    option: str, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        done = generate("--unconditional", option)
    assert done.code == 1
    assert done.err.startswith("Error: cannot write to stdout: No space left")


def test_greedy_whatever_the_seed(generate: Generate) -> None:
    outs = {generate("--prompt", "the", "--temperature", "0", "--seed", s).out for s in "123"}
    outs.add(generate("--prompt", "the", "--sampler", "greedy").out)
    outs.add(generate("--prompt", "the", "--top-k", "1").out)
    assert len(outs) == 1


@pytest.mark.parametrize(
    ("args", "chain"),
    [
        (["--temperature", "2"], ["temperature=2.0", "top_p=0.95"]),
        (["--top-p", "0.5"], ["temperature=0.9", "top_p=0.5"]),
        (["--top-k", "4"], ["temperature=0.9", "top_k=4", "top_p=0.95"]),
        (["--min-p", "0.2"], ["temperature=0.9", "top_p=0.95", "min_p=0.2"]),
        (["--sampler", "min_p", "--min-p", "0"], ["min_p=0.0"]),
        (["--sampler", "min_p", "--top-p", "0.5"], ["top_p=0.5", "min_p=0.1"]),
        (
            ["--sampler", "xtc", "--min-p", "0.5", "--top-k", "4"],
            ["xtc=0.1", "top_k=4", "min_p=0.5"],
        ),
        (["--sampler", "greedy"], ["greedy="]),
        (["--sampler", "top_k,k=3"], ["top_k=3"]),
        (["--sampler", "top_k"], ["top_k=50"]),
        (["--sampler", " top_p , p = 0.2 "], ["top_p=0.2"]),
        (["--sampler", "top_p,p=0.2", "--sampler", "top_k,k=9"], ["top_p=0.2", "top_k=9"]),
        (["--sampler", "greedy", "--top-k", "4"], ["greedy=", "top_k=4"]),
        (["--sampler", "top_p", "--temperature", "2"], ["temperature=2.0", "top_p=0.9"]),
    ],
)
def test_the_chain(args: list[str], chain: list[str], generate: Generate) -> None:
    found = data(generate("--unconditional", "--json", *args))["samplers"]
    assert [f"{s.pop('name')}={next(iter(s.values()), '')}" for s in found] == chain


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["--prompt TEXT or --unconditional"]),
        (["--prompt", "a", "--unconditional"], ["--prompt TEXT or --unconditional"]),
        (["--prompt", "a", "--stream", "--json"], ["--stream"]),
        (["--prompt", "a", "--stream", "--n-samples", "2"], ["--stream"]),
        (["--prompt", "a", "--n-samples", "0"], ["--n-samples"]),
        (["--prompt", "a", "--temperature", "-1"], ["--temperature"]),
        (["--prompt", "a", "--temperature", "nan"], ["temperature"]),
        (["--prompt", "a", "--temperature", "inf"], ["temperature"]),
        (["--prompt", "a", "--top-p", "0"], ["--top-p"]),
        (["--prompt", "a", "--top-p", "1.5"], ["--top-p"]),
        (["--prompt", "a", "--top-p", "nan"], ["p"]),
        (["--prompt", "a", "--min-p", "-0.1"], ["--min-p"]),
        (["--prompt", "a", "--min-p", "1.5"], ["--min-p"]),
        (["--prompt", "a", "--min-p", "nan"], ["--min-p nan", "number"]),
        (["--prompt", "a", "--min-p", "few"], ["--min-p"]),
        (["--prompt", "a", "--top-k", "0"], ["--top-k"]),
        (["--prompt", "a", "--max-new-tokens", "0"], ["--max-new-tokens"]),
        (["--prompt", "a", "--seed", "-1"], ["--seed"]),
        (["--prompt", "a", "--sampler", "topk"], ["--sampler topk", "top_k"]),
        (["--prompt", "a", "--sampler", "top_k,5"], ["NAME,option=value"]),
        (["--prompt", "a", "--sampler", "top_k,n=5"], ["--sampler top_k,n=5", "no key 'n'"]),
        (["--prompt", "a", "--sampler", "top_k,k=many"], ["--sampler top_k,k=many", "integer"]),
        (["--prompt", "a", "--sampler", ""], ["--sampler"]),
        (["--prompt", "a\u2581b"], ["U+2581"]),
        (["--prompt", "a\udcff"], ["U+DCFF"]),
        (["--prompt", "x" * 500], ["the prompt has", "fits only 47"]),
        (["--prompt", "a", "--run-id", "other"], ["no run 'other'"]),
        (["--prompt", "a", "--run-id", "../mine"], ["is not a valid run id"]),
        (["--prompt", "a", "--run-id", ""], ["is not a valid run id"]),
        (["--prompt", "a", "--run-id", "x" * 300], ["is not a valid run id"]),
        (["--prompt", "a", "--checkpoint", "first"], ["no checkpoint 'first'"]),
    ],
)
def test_refused(args: list[str], words: list[str], generate: Generate) -> None:
    done = generate(*args)
    assert done.code == 2
    assert done.out == ""
    for word in words:
        assert word in done.err
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    assert len(done.err.strip().splitlines()) <= 4


def test_the_longest_prompt(generate: Generate) -> None:
    longest = generate("--prompt", "x" * 47, "--json")
    assert len(data(longest)["samples"][0]["tokens"]) <= 1
    assert generate("--prompt", "x" * 48).code == 2


def test_no_runs(tp: Run, tmp_path: Path) -> None:
    done = tp("generate", "--unconditional", "--runs-dir", tmp_path)
    assert done.code == 2
    assert "no runs" in done.err


def test_no_such_checkpoint(generate: Generate, spoilt: Path) -> None:
    (spoilt / "checkpoints" / "best_val.pt").unlink()
    done = generate("--unconditional", where=spoilt.parent)
    assert done.code == 2
    assert "no checkpoint 'best_val'; available: last" in done.err
    assert generate("--unconditional", "--checkpoint", "last", where=spoilt.parent).code == 0
    (spoilt / "checkpoints" / "last.pt").unlink()
    assert "it has none" in generate("--unconditional", where=spoilt.parent).err


def test_a_damaged_checkpoint(generate: Generate, spoilt: Path) -> None:
    path = spoilt / "checkpoints" / "best_val.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = generate("--unconditional", where=spoilt.parent)
    assert done.code == 2
    assert "is damaged" in done.err


def test_a_component_that_is_not_installed(generate: Generate, spoilt: Path) -> None:
    path = spoilt / "provenance.json"
    provenance = json.loads(path.read_text())
    for component in provenance["components"]:
        if component["kind"] in ("mlp", "norm"):
            component |= {
                "name": f"tp-far:{component['name']}",
                "distribution": "tp-far",
                "version": "2.1",
                "direct_url": None,
            }
    path.write_text(json.dumps(provenance))
    done = generate("--unconditional", where=spoilt.parent)
    assert done.code == 2
    assert "run 'mine' uses mlp 'tp-far:swiglu', but tp-far is not installed" in done.err
    assert done.err.endswith("Install the version used by the run: pip install tp-far==2.1\n")


@pytest.mark.parametrize("name", ["config.json", "provenance.json", "tokenizer/spm.model"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_run(name: str, content: bytes | None, generate: Generate, spoilt: Path) -> None:
    if content is None:
        (spoilt / name).unlink()
    else:
        (spoilt / name).write_bytes(content)
    done = generate("--unconditional", where=spoilt.parent)
    if name == "provenance.json" and content == b"{}":
        assert done.code == 0  # what is missing there, the config still says
        return
    assert done.code == 2
    assert "internal error" not in done.err
    assert name.rpartition("/")[2] in done.err
