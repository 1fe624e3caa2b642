"""Never imported by a command that only lists: it says so by failing."""

raise RuntimeError("the target of a component was imported")
