"""The built-in components: descriptors only, one folder a kind. Imports no torch."""

from tp_plugins.attentions import tp_attentions
from tp_plugins.blocks import tp_blocks
from tp_plugins.callbacks import tp_callbacks
from tp_plugins.metrics import tp_metrics
from tp_plugins.mlps import tp_mlps
from tp_plugins.norms import tp_norms
from tp_plugins.optimizers import tp_optimizers
from tp_plugins.positional_encodings import tp_positional_encodings
from tp_plugins.samplers import tp_samplers
from tp_plugins.schedules import tp_schedules

__all__ = [
    "tp_attentions",
    "tp_blocks",
    "tp_callbacks",
    "tp_metrics",
    "tp_mlps",
    "tp_norms",
    "tp_optimizers",
    "tp_positional_encodings",
    "tp_samplers",
    "tp_schedules",
]
