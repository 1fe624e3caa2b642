"""Five entry points whose hooks return what is no list of components, or take what they can't."""

from tp_core import Component, hookimpl


class _Nothing:
    @hookimpl
    def tp_mlps(self):
        return [Component(name="lost", target="tp_rubbish:Lost")]

    @hookimpl
    def tp_norms(self):
        return None


class _Text:
    @hookimpl
    def tp_norms(self):
        return "rmsnorm"


class _Bare:
    @hookimpl
    def tp_norms(self):
        return Component(name="alone", target="tp_rubbish:Alone")


class _Items:
    @hookimpl
    def tp_norms(self):
        return [Component(name="first", target="tp_rubbish:First"), {"name": "second"}]


class _Argument:
    @hookimpl
    def tp_norms(self, config):
        return []


nothing, text, bare, items, argument = _Nothing(), _Text(), _Bare(), _Items(), _Argument()
