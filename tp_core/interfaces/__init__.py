"""What a component's code may use, beside torch: the public tensor side of the plugin API."""

from tp_core.interfaces.attend import attend
from tp_core.interfaces.callbacks import (
    CheckpointEvent,
    EndEvent,
    EvaluationEvent,
    StartEvent,
    StepEvent,
    TrainingAccess,
)
from tp_core.interfaces.context import BuildContext
from tp_core.interfaces.kv_cache import KVCache, KVEntries
from tp_core.interfaces.metrics import Headline, MetricView, SplitLosses, TokenLosses
from tp_core.interfaces.parameters import ParameterInfo
from tp_core.interfaces.positional_encoding import PositionalEncoding
from tp_core.interfaces.precision import without_autocast
from tp_core.interfaces.recording import listen, record, recording
from tp_core.interfaces.sampling import SamplerStep
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State, part
from tp_core.interfaces.visibility import visible
from tp_core.interfaces.vocabulary import Vocabulary

__all__ = [
    "BuildContext",
    "CheckpointEvent",
    "EndEvent",
    "EvaluationEvent",
    "Headline",
    "KVCache",
    "KVEntries",
    "MetricView",
    "ParameterInfo",
    "PositionalEncoding",
    "SamplerStep",
    "SequenceInfo",
    "SplitLosses",
    "StartEvent",
    "State",
    "StepEvent",
    "TokenLosses",
    "TrainingAccess",
    "Vocabulary",
    "attend",
    "listen",
    "part",
    "record",
    "recording",
    "visible",
    "without_autocast",
]
