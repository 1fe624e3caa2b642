"""The built-in components under the kit that everyone's components are tested with."""

from __future__ import annotations

from tp_core.testing import conformance

test_components = conformance("transformer-playground")
