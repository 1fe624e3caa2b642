"""Format values as TOML. Torch-free."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tp_core.kernel.options import Spec

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def encodes(text: str) -> bool:
    """Whether a text can be encoded as UTF-8; a lone surrogate can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_toml(value: Any) -> str:
    """A plain value, option or spec on one line.

    TOML has no null, so null entries are omitted from tables. Values that TOML can't represent
    still get a text, for error messages.
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str):
        # JSON's escapes are TOML's, except that JSON leaves DEL bare.
        return json.dumps(value, ensure_ascii=not encodes(value)).replace("\x7f", "\\u007f")
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, Spec):
        return to_toml(value.as_data() if value.options else value.name)
    if isinstance(value, Mapping):
        pairs = [f"{_key(name)} = {to_toml(v)}" for name, v in value.items() if v is not None]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(to_toml, value))}]"
    return str(value)


def _key(name: Any) -> str:
    return name if isinstance(name, str) and _BARE_KEY.fullmatch(name) else to_toml(name)
