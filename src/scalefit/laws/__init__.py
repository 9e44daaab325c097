"""Published laws, one family per file, in one explicit mapping."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from scalefit.errors import LawError
from scalefit.laws.additive import chinchilla as chinchilla
from scalefit.laws.additive import chinchilla_d as chinchilla_d
from scalefit.laws.additive import chinchilla_n as chinchilla_n
from scalefit.laws.additive import chinchilla_tied as chinchilla_tied
from scalefit.laws.base import Law as Law
from scalefit.laws.base import Param as Param
from scalefit.laws.base import law as law
from scalefit.laws.farseer import farseer as farseer
from scalefit.laws.kinds import Amplitude as Amplitude
from scalefit.laws.kinds import Bounds as Bounds
from scalefit.laws.kinds import By as By
from scalefit.laws.kinds import Coefficient as Coefficient
from scalefit.laws.kinds import Exponent as Exponent
from scalefit.laws.kinds import Fraction as Fraction
from scalefit.laws.kinds import Kind as Kind
from scalefit.laws.kinds import Offset as Offset
from scalefit.laws.kinds import scale_of as scale_of

BUILTIN: Mapping[str, Law] = MappingProxyType(
    {item.name: item for item in (chinchilla, chinchilla_tied, chinchilla_n, chinchilla_d, farseer)}
)


def find(law: str | Law) -> Law:
    """The law itself, or the built-in law of that name.

    Raises:
        LawError: no built-in law has that name.
    """
    if isinstance(law, Law):
        return law
    if isinstance(law, str) and law in BUILTIN:
        return BUILTIN[law]
    if callable(law):
        raise LawError(
            f"{getattr(law, '__name__', law)!r} is a plain function. Decorate it with "
            '@scalefit.law(source="...") so that its columns and parameters are known'
        )
    close = difflib.get_close_matches(str(law), BUILTIN, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise LawError(f"no built-in law is called {law!r}. {hint}Known: {', '.join(BUILTIN)}")
