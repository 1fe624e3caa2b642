"""Prints where data is expected, and has a summary that would drive a terminal."""

from tp_core import Component, hookimpl

print("welcome to tp-noisy")


@hookimpl
def tp_norms():
    print("handing out norms")
    return [Component(name="quiet", target="tp_noisy:Quiet", summary="\x1b[2Jcleared\nthe screen")]
