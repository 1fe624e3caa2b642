"""Names a component as no config could."""

from tp_core import Component, hookimpl


@hookimpl
def tp_norms():
    return [Component(name="Rms-Norm", target="tp_bad_name:RmsNorm")]
