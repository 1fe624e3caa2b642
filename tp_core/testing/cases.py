"""Test cases: each component of a distribution with each set of its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tp_core.errors import ConfigError, TpError, did_you_mean
from tp_core.kernel.catalogue import Catalogue, RegisteredComponent, discover
from tp_core.testing.harness import Harness, as_written, harnesses, refusal
from tp_core.testing.partners import DISTRIBUTION, PLUGINS
from tp_core.testing.results import NotApplicable
from tp_core.testing.variants import Variant, variants


@dataclass(frozen=True, eq=False)
class Case:
    """A component with one set of options."""

    registered: RegisteredComponent
    variant: Variant
    catalogue: Catalogue

    @property
    def kind(self) -> str:
        return self.registered.kind

    @property
    def name(self) -> str:
        return self.registered.component.name

    @property
    def harnesses(self) -> list[Harness]:
        """The models it is tested in. Raises `NotApplicable` if none can be built."""
        if self.refusal:
            raise NotApplicable(f"can't be built: {self.refusal}")
        return _harnesses(self)

    @property
    def harness(self) -> Harness:
        """The first of its harnesses."""
        return self.harnesses[0]

    @cached_property
    def reference(self) -> Harness:
        """The first harness, without the change to the varied option."""
        written = as_written(self.registered.qualified, self.variant.reference)
        return harnesses(self.catalogue, self.kind, written)[0]

    @cached_property
    def refusal(self) -> str:
        """Why these options can't be built at the kit's sizes, or an empty string."""
        if self.variant.fault:
            return self.variant.fault
        try:
            _harnesses(self)
        except ConfigError as error:
            return refusal(error)
        except TpError as error:
            return str(error)
        return ""


@lru_cache(maxsize=2)  # checks run case by case, so models of earlier cases can be released
def _harnesses(case: Case) -> list[Harness]:
    written = as_written(case.registered.qualified, case.variant.options)
    return harnesses(case.catalogue, case.kind, written)


def kit_catalogue() -> Catalogue:
    """The installed plugins and the kit's partners. Disabled distributions are included."""
    return Catalogue([*discover(), *PLUGINS], disable="")


def cases(
    catalogue: Catalogue,
    distribution: str,
    kinds: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> list[Case]:
    """All components of a distribution with all sets of options.

    Raises `TpError` if the distribution isn't installed, doesn't load, or lacks one of `names`.
    """
    from packaging.utils import canonicalize_name

    distribution = canonicalize_name(distribution)
    loaded = catalogue.load_distribution(distribution)
    if not loaded:
        others = [p.distribution for p in catalogue.plugins if p.distribution != DISTRIBUTION]
        known, near = ", ".join(dict.fromkeys(others)), did_you_mean(distribution, others)
        raise TpError(
            f"no installed distribution '{distribution}' provides components.{near} "
            f"Available: {known}. To install it: pip install {distribution}"
        )
    for one in loaded:
        if one.broken:
            raise TpError(f"plugin '{one.plugin.entry}' of {distribution} is broken: {one.broken}")
    found = [c for one in loaded for c in one.components if kinds is None or c.kind in kinds]
    for name in names or ():
        if all(name not in c.names for c in found):
            raise TpError(f"{distribution} has no component '{name}' of the requested kinds")
    wanted = [c for c in found if names is None or any(name in names for name in c.names)]
    return [Case(c, variant, catalogue) for c in wanted for variant in variants(c.component)]
