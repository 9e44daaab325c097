"""Mixtures of data domains: loss over their shares."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeVar, get_args

import jax
import jax.numpy as jnp

from scalefit.arguments import text
from scalefit.errors import LawError
from scalefit.laws.base import Law, Param, law
from scalefit.laws.kinds import Amplitude, Domain, Kind, Offset, Share, slope_of
from scalefit.laws.relations import Relation, quoted

__all__ = ["data_mixture", "mixture_of"]

T = TypeVar("T")

SOURCE = "Ye et al. 2024, arXiv 2403.16952, exponential data mixing law"

# Published shares are rounded: they may add up to a little more than one.
ROUNDING = 0.01


def _parts(domains: tuple[str, ...]) -> tuple[Relation, ...]:
    """Shares of different domains are parts of one whole."""
    if len(domains) < 2:
        return ()
    return (Relation(f"{' + '.join(map(quoted, domains))} <= 1", tolerance=ROUNDING),)


@law(
    source=SOURCE,
    relations=_parts(("share1", "share2")),
    latex=r"L(r_1, r_2) = c + k e^{t_1 r_1 + t_2 r_2}",
    also_known_as=[
        "saturation of test-time scaling 1 - (1 - p)^n, as mixture_of('n') (2505.20522)",
    ],
)
def data_mixture(
    share1: Share,
    share2: Share,
    *,
    c: Offset,
    k: Amplitude,
    t1: Annotated[jax.Array, slope_of("share1")],
    t2: Annotated[jax.Array, slope_of("share2")],
) -> Any:
    """L(r1, r2) = c + k exp(t1 r1 + t2 r2)

    The loss on one domain from the shares of three in the training data.

    Shares add up to one, so that the third is not a column: the paper's three slopes share a
    constant, and here that of the third is zero. :func:`mixture_of` makes the law of any number.

    Args:
        share1: r1, share of the first domain in the training tokens, 0 to 1.
        share2: r2, share of the second.
        c: loss that no mixture goes below.
        k: reducible loss of training on the third domain alone.
        t1: slope of its logarithm in the first share; negative where the first domain helps more
            than the third.
        t2: slope in the second share.
    """
    return c + k * jnp.exp(t1 * share1 + t2 * share2)


def mixture_of(*domains: str) -> Law:
    """The law c + k exp(sum over domains of t r), with a slope for each domain that is named.

    Args:
        domains: columns with the shares of all domains but one, whose slope is zero.

    Returns:
        A law with those columns and parameters c, k and t_<domain> for each.

    Raises:
        ArgumentError: a domain is no name.
        LawError: no domain, or one twice.

    Example:
        >>> mixture_of("web", "code", "books", "papers").names
        ('c', 'k', 't_web', 't_code', 't_books', 't_papers')
    """
    for place, domain in enumerate(domains):
        text(domain, f"domains[{place}]", remedy="Name columns, as mixture_of('web', 'code')")
    if not domains or len(set(domains)) < len(domains):
        raise LawError(f"name each domain but one, once, not {', '.join(domains) or 'none'}")
    return _mixture(domains)


@cache
def _mixture(domains: tuple[str, ...]) -> Law:
    """The law of these domains, the same object each time."""

    def exponential(*shares: Any, c: Any, k: Any, **slopes: Any) -> Any:
        """L(r) = c + k exp(sum of t r)"""
        pairs = zip(domains, shares, strict=True)
        return c + k * jnp.exp(sum(slopes[f"t_{domain}"] * share for domain, share in pairs))

    params = [Param("c", _of(Offset, Kind)), Param("k", _of(Amplitude, Kind))]
    params += [Param(f"t_{domain}", slope_of(domain)) for domain in domains]
    return Law(
        exponential,
        f"mixture_of_{len(domains) + 1}",
        domains,
        tuple(params),
        SOURCE,
        domains=dict.fromkeys(domains, _of(Share, Domain)),
        relations=_parts(domains),
        maker=(mixture_of, domains),
    )


def _of(alias: Any, kind: type[T]) -> T:
    """The item of a type in the metadata of an annotation."""
    return next(item for item in get_args(alias) if isinstance(item, kind))
