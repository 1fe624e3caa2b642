"""What may stand together: sizes, sites, and what is suggested where something may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from config_helpers import plan_of, problem_of, problems_of

from tp_core.kernel.catalogue import Catalogue

Fake = Callable[[str], Catalogue]

# Attentions with fewer sites than softmax, and encodings that need this or that.
CAST = """
class EmbedOnly(Options):
    def offers(self, dims):
        return {"embed": {}}

class Narrow(Options):
    width: int = F(6)
    def offers(self, dims):
        return {"embed": {}, "rotate": {"head_dim": self.width, "n_heads": 1}}

class Even(Options):
    def problems(self, dims):
        if dims.head_dim % 2:
            yield f"wants an even head_dim, not {dims.head_dim} ({dims.n_heads} heads)"

tp_attentions = components(
    "attention", ("recurrent", EmbedOnly, ()), ("narrow", Narrow, ()), ("blind", Options, ())
)
tp_positional_encodings = components(
    "positional_encoding",
    ("slopes", Options, ("bias",)),
    ("turns", Even, ("rotate",)),
    ("both", Even, ("rotate", "bias")),
    ("always_even", Even, ()),
)
"""


def mixed(pattern: list[str], layers: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {"model": {"n_layers": 6, "pattern": pattern, "layers": layers, **model}}


def test_a_refusal_names_layers_site_and_what_would_fit(fake: Fake) -> None:
    changes = mixed(["rec", "x"], {"rec": {"attention": "recurrent"}})
    problem = problem_of(changes, catalogue=fake(CAST))
    assert problem.key == "model.layers.rec.attention"
    head, _, advice = problem.message.partition("offers embed. ")
    assert head == (
        "layers 0,2,4 (pattern \"rec\"): positional encoding 'rope' needs site 'rotate'; "
        "attention 'tp-fake:recurrent' "
    )
    assert advice.startswith("In [model.layers.rec] set positional_encoding to one of: none, ")
    encodings, _, attentions = advice.partition("; or attention to one of: ")
    assert "learned" not in encodings  # it acts on the embeddings of all layers
    assert "softmax" in attentions
    assert "recurrent" not in attentions


def test_one_fitting_encoding_is_written_as_the_line_to_add(fake: Fake) -> None:
    # Nothing is built in here, so everything there is comes from the fake distribution.
    alone = """
    class EmbedOnly(Options):
        def offers(self, dims):
            return {"embed": {}}
    class All(Options):
        def offers(self, dims):
            return {"embed": {}, "rotate": {}}
    tp_positional_encodings = components(
        "positional_encoding", ("turns", Options, ("rotate",)), ("plain", Options, ())
    )
    tp_attentions = components("attention", ("rec", EmbedOnly, ()), ("full", All, ()))
    tp_norms = components("norm", ("rmsnorm", Options, ()))
    tp_mlps = components("mlp", ("gelu", Options, ()))
    tp_blocks = components("block", ("pre", Options, ()))
    tp_optimizers = components("optimizer", ("adamw", Options, ()))
    tp_schedules = components("schedule", ("constant", Options, ()))
    """
    catalogue = Catalogue([p for p in fake(alone).plugins if not p.builtin], "")
    changes = mixed(["a", "b"], {"a": {"attention": "rec"}}, attention="full")
    changes["model"]["positional_encoding"] = "turns"
    problem = problem_of({**changes, "sampling": {"samplers": []}}, catalogue=catalogue)
    assert problem.message.endswith(
        'In [model.layers.a] set positional_encoding = "tp-fake:plain"; '
        'or attention = "tp-fake:full"'
    )


@pytest.mark.parametrize(
    ("encoding", "attention", "missing"),
    [
        ("slopes", "recurrent", "needs site 'bias'"),
        ("slopes", "narrow", "needs site 'bias'"),
        ("both", "recurrent", "needs sites 'rotate', 'bias'"),
        ("both", "narrow", "needs site 'bias'"),
        ("rope", "blind", "offers none"),
        ("learned", "blind", "needs site 'embed'"),
        ("turns", "recurrent", "needs site 'rotate'"),
    ],
)
def test_pairs_that_do_not_fit(fake: Fake, encoding: str, attention: str, missing: str) -> None:
    changes = {"model": {"positional_encoding": encoding, "attention": attention}}
    problem = problem_of(changes, catalogue=fake(CAST))
    assert problem.key == "model.positional_encoding"
    assert problem.message.startswith("layers 0-3: positional encoding ")
    assert missing in problem.message
    assert "In [model] set positional_encoding to one of: none, " in problem.message


@pytest.mark.parametrize(
    ("encoding", "attention"),
    [
        ("slopes", "softmax"),
        ("both", "softmax"),
        ("turns", "narrow"),
        ("rope", "narrow"),
        ("learned", "recurrent"),
        ("none", "blind"),
    ],
)
def test_pairs_that_fit(fake: Fake, encoding: str, attention: str) -> None:
    plan = plan_of(
        {"model": {"positional_encoding": encoding, "attention": attention}}, catalogue=fake(CAST)
    )
    assert plan.layers[0]["attention"].registered.component.name == attention


def test_an_encoding_is_asked_about_the_heads_of_its_site(fake: Fake) -> None:
    catalogue = fake(CAST)
    odd = {"model": {"positional_encoding": "turns", "attention": {"name": "narrow", "width": 5}}}
    message = problem_of(odd, catalogue=catalogue).message
    assert message == (
        "layers 0-3: positional encoding 'tp-fake:turns' on attention 'tp-fake:narrow': "
        "wants an even head_dim, not 5 (1 heads)"
    )
    # The model's own heads are odd, and no one rotates those.
    fits = {
        "model": {"d_model": 12, "positional_encoding": "turns", "attention": "narrow"},
    }
    assert plan_of(fits, catalogue=catalogue).dims.head_dim == 3


def test_an_encoding_with_no_site_is_asked_too(fake: Fake) -> None:
    changes = {"model": {"d_model": 12, "positional_encoding": "always_even"}}
    assert "wants an even head_dim, not 3" in problem_of(changes, catalogue=fake(CAST)).message


def test_a_problem_of_two_sites_is_told_once(fake: Fake) -> None:
    changes = {"model": {"d_model": 12, "positional_encoding": "both"}}
    assert problem_of(changes, catalogue=fake(CAST)).message.count("wants") == 1


def test_what_would_not_fit_these_sizes_is_not_suggested(fake: Fake) -> None:
    changes = {"model": {"d_model": 12, "positional_encoding": "slopes", "attention": "narrow"}}
    message = problem_of(changes, catalogue=fake(CAST)).message
    assert "tp-fake:turns" in message  # narrow's own heads of 6
    odd = {"model": {"attention": {"name": "narrow", "width": 5}, "positional_encoding": "slopes"}}
    message = problem_of(odd, catalogue=fake(CAST)).message
    assert "tp-fake:turns" not in message
    assert "rope" not in message


def test_an_odd_head_for_rope() -> None:
    problem = problem_of({"model": {"d_model": 20}})
    assert problem.key == "model.positional_encoding"
    assert "head_dim must be even, not 5" in problem.message


@pytest.mark.parametrize(("d_model", "n_heads", "near"), [(10, 4, "8 or 12"), (3, 4, "4")])
def test_a_width_no_number_of_heads_divides(d_model: int, n_heads: int, near: str) -> None:
    problem = problem_of({"model": {"d_model": d_model, "n_heads": n_heads}})
    assert problem.key == "model.d_model"
    assert problem.message.endswith(f"; use {near}")


def test_key_and_value_heads_must_divide_the_heads() -> None:
    assert plan_of(None, "model.attention.n_kv_heads=2")
    problem = problem_of(None, "model.attention.n_kv_heads=3")
    assert problem.place == "--set model.attention.n_kv_heads=3"
    assert "n_heads = 4 is not divisible by n_kv_heads = 3" in problem.message


def test_a_warmup_must_end() -> None:
    schedule = {"name": "constant", "warmup": 5}
    assert plan_of({"train": {"max_steps": 6, "schedule": schedule}})
    problem = problem_of({"train": {"max_steps": 6, "schedule": schedule}}, "train.max_steps=5")
    assert (problem.key, problem.place) == ("train.schedule", "--set train.max_steps=5")
    # Where max_steps is wrong in itself, nothing can be said of the warmup.
    problem = problem_of({"train": {"max_steps": 0, "schedule": {**schedule, "warmup": 2000}}})
    assert problem.key == "train.max_steps"


SIZED = """
class Sized(Options):
    limit: int = F(1)
    def problems(self, dims):
        if dims.n_layers > self.limit:
            yield "too deep"
        if dims.max_seq_len > self.limit:
            yield "too long"

class Listed(Options):
    def problems(self, dims):
        return ["too deep"] if dims.n_layers > 1 else []

tp_mlps = components("mlp", ("sized", Sized, ()), ("listed", Listed, ()))
"""


def test_the_sizes_a_component_looked_at_are_to_blame(fake: Fake) -> None:
    changes = {"model": {"mlp": "sized", "n_layers": 2}}
    sets = ["model.max_seq_len=8", "model.n_heads=2"]
    deep, long = problems_of(changes, *sets, catalogue=fake(SIZED))
    assert (deep.message, deep.place) == ("layers 0-1: mlp 'tp-fake:sized': too deep", "my.toml")
    assert (long.message, long.place) == (deep.message.replace("deep", "long"), f"--set {sets[0]}")
    problem = problem_of({"model": {"mlp": "listed"}}, "model.n_layers=3", catalogue=fake(SIZED))
    assert problem.place == "--set model.n_layers=3"


def test_samplers_and_metrics_have_their_say(fake: Fake) -> None:
    code = """
    class Picky(Options):
        def problems(self, dims):
            return ["never"]
    tp_samplers = components("sampler", ("picky", Picky, ()))
    tp_metrics = components("metric", ("picky", Picky, ()))
    tp_optimizers = components("optimizer", ("picky", Picky, ()))
    """
    problems = problems_of(
        {
            "sampling": {"samplers": ["greedy", "picky"]},
            "report": {"metrics": ["picky"]},
            "train": {"optimizer": "picky"},
        },
        catalogue=fake(code),
    )
    assert {p.key for p in problems} == {
        "sampling.samplers.1",
        "report.metrics.0",
        "train.optimizer",
    }


def test_the_last_norm_is_checked_whether_a_layer_has_it_or_not(fake: Fake) -> None:
    code = """
    class Wide(Options):
        def problems(self, dims):
            if dims.dim < 200:
                yield f"wants 200 features, not {dims.dim}"
    tp_norms = components("norm", ("wide", Wide, ()))
    """
    message = "norm 'tp-fake:wide': wants 200 features, not 128"
    problem = problem_of({"model": {"norm": "wide"}}, catalogue=fake(code))
    assert (problem.key, problem.message) == ("model.norm", f"layers 0-3: {message}")
    changes = mixed(["a"], {"a": {"norm": "rmsnorm"}}, norm="wide")
    problem = problem_of(changes, catalogue=fake(code))
    assert (problem.key, problem.message) == ("model.norm", message)


PLUGIN_MISTAKES = """
class Raises(Options):
    def problems(self, dims):
        raise KeyError("oops")

class Text(Options):
    def problems(self, dims):
        return "one sentence"

class Nothing(Options):
    def problems(self, dims):
        return None

class NoTable(Options):
    def offers(self, dims):
        return ["rotate"]

class NoSite(Options):
    def offers(self, dims):
        return {"rotat": {}}

class NoSize(Options):
    def offers(self, dims):
        return {"rotate": {"heads": 1}}

class OfferRaises(Options):
    def offers(self, dims):
        return {"rotate": {"head_dim": 1 // 0}}

tp_mlps = components("mlp", ("raises", Raises, ()), ("text", Text, ()), ("nothing", Nothing, ()))
tp_attentions = components(
    "attention", ("no_table", NoTable, ()), ("no_site", NoSite, ()), ("no_size", NoSize, ()),
    ("offer_raises", OfferRaises, ()),
)
"""


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("mlp", "raises", "problems() failed: KeyError: 'oops' ("),
        ("mlp", "text", "mlp 'tp-fake:text': one sentence"),
        ("mlp", "nothing", "problems() failed: TypeError"),
        ("attention", "no_table", "offers() failed: AttributeError"),
        (
            "attention",
            "no_site",
            "offers() failed: ValueError: 'rotat' is not a site. Did you mean",
        ),
        ("attention", "no_size", "offers() failed: TypeError"),
        ("attention", "offer_raises", "offers() failed: ZeroDivisionError"),
    ],
)
def test_a_plugins_mistake_is_a_problem_that_names_it(
    fake: Fake, kind: str, name: str, words: str
) -> None:
    problem = problem_of({"model": {kind: name}}, catalogue=fake(PLUGIN_MISTAKES))
    assert problem.key == f"model.{kind}"
    assert problem.message.startswith("layers 0-3: ")
    assert words in problem.message
    if name in ("raises", "offer_raises"):
        assert "tp_fake_module.py:" in problem.message
