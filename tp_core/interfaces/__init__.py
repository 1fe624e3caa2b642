"""What a component's code may use, beside torch: the public tensor side of the plugin API."""

from tp_core.interfaces.attend import attend
from tp_core.interfaces.build import BuildContext
from tp_core.interfaces.cache import Keys, KVCache
from tp_core.interfaces.positions import Positions
from tp_core.interfaces.report import Headline, ReportView, SplitScores, TokenScores
from tp_core.interfaces.roles import ParameterInfo
from tp_core.interfaces.sampling import SamplerStep
from tp_core.interfaces.sequence import SequenceInfo, visible
from tp_core.interfaces.state import State, part

__all__ = [
    "BuildContext",
    "Headline",
    "KVCache",
    "Keys",
    "ParameterInfo",
    "Positions",
    "ReportView",
    "SamplerStep",
    "SequenceInfo",
    "SplitScores",
    "State",
    "TokenScores",
    "attend",
    "part",
    "visible",
]
