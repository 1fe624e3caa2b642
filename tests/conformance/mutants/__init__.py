"""Deliberately broken components, each with one fault that a check of the kit is named for.

Descriptors only. Most are cut from the minimal component of their kind and have its options. Beside
them stand a few correct components (`recurrent`, `scaled`, `z_loss`, `gumbel`, `memory`,
`mean_length`, `curve`) that mutants of their nature are cut from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl
from tp_core.testing.minimal.attention import MinimalOptions as AttentionOptions
from tp_core.testing.minimal.block import MinimalOptions as BlockOptions
from tp_core.testing.minimal.callback import MinimalOptions as CallbackOptions
from tp_core.testing.minimal.mlp import MinimalOptions as MlpOptions
from tp_core.testing.minimal.norm import MinimalOptions as NormOptions
from tp_core.testing.minimal.optimizer import MinimalOptions as OptimizerOptions
from tp_core.testing.minimal.schedule import MinimalOptions as ScheduleOptions
from tp_plugins.callbacks import EmaOptions


class RecurrentOptions(Options):
    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        return {"embed": {}}


class ScaledOptions(NormOptions):
    strength: float = Field(1.0, description="scales the output", examples=[2.0])


class UnvariedOptions(NormOptions):
    strength: float = Field(1.0, description="scales the output")


class LostOptions(NormOptions):
    strength: float = Field(1.0, description="left out of files", examples=[2.0], exclude=True)


class RefusedOptions(NormOptions):
    width: int = Field(4, description="of something", examples=[1000])

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.width > dims.dim:
            yield f"width = {self.width} is more than {dims.dim}"


class TopPOptions(Options):
    p: float = Field(0.9, gt=0, le=1, description="mass that stays", examples=[0.5])


@hookimpl
def tp_positional_encodings() -> list[Component]:
    return [
        _one("rotates_by_index", "encodings:RotatesByIndex", needs=("rotate",)),
        _one("embeds_by_index", "encodings:EmbedsByIndex", needs=("embed",)),
        _one("undeclared_site", "encodings:UndeclaredSite"),
        _one("bias_without_heads", "encodings:BiasWithoutHeads", needs=("bias",)),
    ]


@hookimpl
def tp_attentions() -> list[Component]:
    def softmax(name: str, target: str) -> Component:
        return _one(name, f"attentions:{target}", AttentionOptions)

    def recurrent(name: str, target: str) -> Component:
        return _one(name, f"recurrent:{target}", RecurrentOptions)

    return [
        softmax("peeks_ahead", "PeeksAhead"),
        softmax("adds_boolean_mask", "AddsBooleanMask"),
        softmax("shifts_without_state", "ShiftsWithoutState"),
        softmax("forgets_window_when_causal_only", "ForgetsWindowWhenCausalOnly"),
        softmax("keeps_everything", "KeepsEverything"),
        softmax("sharp_in_bf16", "SharpInBf16"),
        recurrent("recurrent", "Recurrent"),
        recurrent("drops_state", "DropsState"),
        recurrent("never_resets", "NeverResets"),
        recurrent("counts_idle_steps", "CountsIdleSteps"),
        recurrent("batch_last", "BatchLast"),
        recurrent("fixed_state_type", "FixedStateType"),
    ]


@hookimpl
def tp_norms() -> list[Component]:
    return [
        _one("over_time", "norms:OverTime", NormOptions),
        _one("over_time_detached", "norms:OverTimeDetached", NormOptions),
        _one("over_batch", "norms:OverBatch", NormOptions),
        _one("dead_parameter", "norms:DeadParameter", NormOptions),
        _one("loose_tensor", "norms:LooseTensor", NormOptions),
        _one("loose_parameter", "norms:LooseParameter", NormOptions),
        _one("in_place", "norms:InPlace", NormOptions),
        _one("uncopied", "norms:Uncopied", NormOptions),
        _one("scaled", "norms:Scaled", ScaledOptions),
        _one("unused_option", "norms:Ignores", ScaledOptions),
        _one("unvaried_option", "norms:Scaled", UnvariedOptions),
        _one("lost_option", "norms:Scaled", LostOptions),
        _one("refused_option", "norms:Ignores", RefusedOptions),
        _one("undescribed", "norms:Ignores", NormOptions, summary=""),
    ]


@hookimpl
def tp_mlps() -> list[Component]:
    return [
        _one("z_loss", "mlps:ZLoss", MlpOptions),
        _one("z_loss_of_pads", "mlps:ZLossOfPads", MlpOptions),
        _one("own_generator", "mlps:OwnGenerator", MlpOptions),
        _one("numpy_start", "mlps:NumpyStart", MlpOptions),
        _one("dropout_always", "mlps:DropoutAlways", MlpOptions),
        _one("double", "mlps:Double", MlpOptions),
        _one("mixes_rows", "mlps:MixesRows", MlpOptions),
    ]


@hookimpl
def tp_blocks() -> list[Component]:
    return [
        _one("centres_over_time", "blocks:CentresOverTime", BlockOptions),
        _one("no_dropout", "blocks:NoDropout", BlockOptions),
    ]


@hookimpl
def tp_samplers() -> list[Component]:
    return [
        _one("gumbel", "samplers:Gumbel"),
        _one("memory", "samplers:Memory"),
        _one("keeps_nothing", "samplers:KeepsNothing"),
        _one("depends_on_batch", "samplers:DependsOnBatch"),
        _one("revives", "samplers:Revives"),
        _one("overflows", "samplers:Overflows"),
        _one("in_place", "samplers:InPlace"),
        _one("prefers_low_ids", "samplers:PrefersLowIds"),
        _one("global_generator", "samplers:GlobalGenerator"),
        _one("fixed_numbers", "samplers:FixedNumbers"),
        _one("memory_batch_last", "samplers:MemoryBatchLast"),
        _one("reads_onward", "samplers:ReadsOnward"),
        _one("cuts_at_one", "samplers:CutsAtOne", TopPOptions),
    ]


@hookimpl
def tp_metrics() -> list[Component]:
    return [
        _one("mean_length", "metrics:MeanLength"),
        _one("nan_of_nothing", "metrics:NanOfNothing"),
        _one("headline_of_nothing", "metrics:HeadlineOfNothing"),
        _one("headline_of_words", "metrics:HeadlineOfWords"),
        _one("mean_of_others", "metrics:MeanOfOthers"),
        _one("one_short", "metrics:OneShort"),
        _one("undeclared", "metrics:Undeclared"),
        _one("first_counts", "metrics:FirstCounts"),
        _one("unmoved_values", "metrics:UnmovedValues"),
    ]


@hookimpl
def tp_optimizers() -> list[Component]:
    return [
        _one("skips_scalars", "others:SkipsScalars", OptimizerOptions),
        _one("one_rate", "others:OneRate", OptimizerOptions),
        _one("no_decay", "others:NoDecay", OptimizerOptions),
        _one("unsaved_momentum", "others:UnsavedMomentum", OptimizerOptions),
    ]


@hookimpl
def tp_schedules() -> list[Component]:
    return [
        _one("below_zero", "others:BelowZero", ScheduleOptions),
        _one("counts_calls", "others:CountsCalls", ScheduleOptions),
    ]


@hookimpl
def tp_callbacks() -> list[Component]:
    return [
        _one("curve", "callbacks:Curve"),
        _one("misspelt_event", "callbacks:MisspeltEvent"),
        _one("stops_while_watching", "callbacks:StopsWhileWatching"),
        _one("keeps_a_set", "callbacks:KeepsASet"),
        _one("forgets_its_state", "callbacks:ForgetsItsState", CallbackOptions),
        _one("unkept_counter", "callbacks:UnkeptCounter", CallbackOptions),
        _one("stops_by_chance", "callbacks:StopsByChance", CallbackOptions),
        _one("stops_by_the_clock", "callbacks:StopsByTheClock", CallbackOptions),
        _one("changes_weights", "callbacks:ChangesWeights"),
        _one("draws_numbers", "callbacks:DrawsNumbers"),
        _one("never_restores", "callbacks:NeverRestores", EmaOptions),
        _one("undeclared_file", "callbacks:UndeclaredFile"),
        _one("file_beside", "callbacks:FileBeside"),
    ]


def _one(
    name: str,
    target: str,
    options: type[Options] = Options,
    needs: tuple[str, ...] = (),
    summary: str = "Broken, or cut from",
) -> Component:
    return Component(
        name=name, target=f"{__name__}.{target}", options=options, needs=needs, summary=summary
    )
