"""Mixtures of data domains: loss over their shares, and over size and tokens beside them.

The share of a domain is its part of the training tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.arguments import text
from scalefit.errors import LawError
from scalefit.laws.base import Law, Param, law
from scalefit.laws.kinds import (
    Amplitude,
    Domain,
    Exponent,
    Kind,
    Offset,
    Positive,
    Share,
    annotation,
    slope_of,
)
from scalefit.laws.relations import Relation, quoted

__all__ = [
    "additive_mixture",
    "additive_mixture_of",
    "convex_in_shares",
    "data_mixture",
    "joint_mixture_of",
    "mixture_of",
]

SOURCE = "Ye et al. 2024, arXiv 2403.16952, exponential data mixing law"
ADDITIVE = "Shukor et al. 2025, arXiv 2507.09404, additive law (read second-hand)"
JOINT = (
    "Shukor et al. 2025, arXiv 2507.09404, joint law (read second-hand; the form has the 37 "
    "parameters that the paper counts for eight domains)"
)

# Published shares are rounded: they may add up to a little more than one.
ROUNDING = 0.01

# A power of a share of zero is zero, and so is its slope in the exponent: 1e-300^0.05 = 1e-15.
SMALLEST = 1e-300

# What a domain is worth beside the first. A thousandth of it changes a loss by less than the noise
# of a run; a domain worth a thousand times the first should be the first.
Worth = Annotated[jax.Array, Kind("worth", 1e-3, 1e3, spacing="log")]

# An exponent of a share: towards 0.05 any share of the domain does as much as another, above 2
# none does anything before it is most of the mixture.
Concavity = Annotated[jax.Array, Kind("exponent", 0.05, 2.0, spacing="log")]


def _parts(domains: tuple[str, ...]) -> tuple[Relation, ...]:
    """Shares of different domains are parts of one whole."""
    if len(domains) < 2:
        return ()
    return (Relation(f"{' + '.join(map(quoted, domains))} <= 1", tolerance=ROUNDING),)


def _whole(domains: tuple[str, ...]) -> tuple[Relation, ...]:
    """Shares of all domains are the whole."""
    return (
        *_parts(domains),
        Relation(f"{' + '.join(map(quoted, domains))} >= 1", tolerance=ROUNDING),
    )


def _power(share: Any, exponent: Any) -> Any:
    """A power of a share, which may be zero."""
    return jnp.maximum(share, SMALLEST) ** exponent


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


@law(
    source=ADDITIVE,
    relations=_whole(("share1", "share2", "share3")),
    latex=(
        r"L(N, D, h) = E + \frac{K}{h_1^{g_1} + c_2 h_2^{g_2} + c_3 h_3^{g_3}}"
        r" + \frac{A}{N^\alpha} + \frac{B}{D^\beta}"
    ),
)
def additive_mixture(
    N: Positive,
    D: Positive,
    share1: Share,
    share2: Share,
    share3: Share,
    *,
    E: Offset,
    K: Amplitude,
    A: Amplitude,
    B: Amplitude,
    alpha: Exponent,
    beta: Exponent,
    c2: Worth,
    c3: Worth,
    g1: Concavity,
    g2: Concavity,
    g3: Concavity,
) -> Any:
    """L(N, D, h) = E + K / (h1^g1 + c2 h2^g2 + c3 h3^g3) + A N^-alpha + B D^-beta

    The loss on one domain from size, tokens and the shares of three domains.

    The paper writes the mixture's term as 1 / sum of C h^g; K = 1 / C1 and c = C / C1 here, so that
    K is linear. The best shares do not depend on N or D: :func:`joint_mixture_of` makes the law in
    which they do, :func:`additive_mixture_of` that of any number of domains.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        share1: h1, share of the first domain in the training tokens, 0 to 1; the shares add up to
            one. It should be a domain that matters, as the one that the loss is measured on.
        share2: h2, share of the second.
        share3: h3, share of the third.
        E: loss that no size, tokens or mixture go below.
        K: what the mixture leaves of the loss where all tokens are of the first domain.
        A: size of the finite-model term.
        B: size of the finite-data term.
        alpha: model exponent.
        beta: data exponent.
        c2: what a token of the second domain is worth beside one of the first, at large shares.
        c3: the same of the third.
        g1: exponent of the first share; below 1 the first tokens of a domain do most. With all of
            them below 1 the loss is convex in the shares.
        g2: of the second.
        g3: of the third.

    E, K and the exponents are identified by shares from a few percent to most of the mixture;
    where they vary little, the mixture's term is nearly linear in them. An exponent of a domain
    that is worth little is not identified; ``tied=[("g1", "g2", "g3")]`` makes them one.
    """
    worth = _power(share1, g1) + c2 * _power(share2, g2) + c3 * _power(share3, g3)
    return E + K / worth + A * N**-alpha + B * D**-beta


def mixture_of(*domains: str) -> Law:
    """The law c + k exp(sum over domains of t r), with a slope for each domain that is named.

    Args:
        domains: columns with the shares of all domains but one, whose slope is zero.

    Returns:
        A law with those columns and parameters c, k and t_<domain> for each.

    Raises:
        ArgumentError: a domain is no name.
        LawError: no domain, one twice, or one with the name of a parameter or of the loss.

    Example:
        >>> mixture_of("web", "code", "books", "papers").names
        ('c', 'k', 't_web', 't_code', 't_books', 't_papers')
    """
    _require_domains(domains, "mixture_of('web', 'code')")
    if not domains or len(set(domains)) < len(domains):
        raise LawError(f"name each domain but one, once, not {', '.join(domains) or 'none'}")
    return _unambiguous(_mixture(domains))


def additive_mixture_of(*domains: str) -> Law:
    """The law of :data:`additive_mixture` for any number of domains, all of them named.

    E + K / (sum over domains of c h^g) + A N^-alpha + B D^-beta, with c = 1 for the first domain.

    Args:
        domains: columns with the shares of all domains; they add up to one. The first should be
            one that matters, as the one that the loss is measured on.

    Returns:
        A law with columns N, D and the domains, and parameters E, K, A, B, alpha, beta, c_<domain>
        for each domain but the first and g_<domain> for each.

    Raises:
        ArgumentError: a domain is no name.
        LawError: fewer than two domains, one twice, or one called N, D, or as a parameter or the
            loss.

    Example:
        >>> additive_mixture_of("web", "code").names
        ('E', 'K', 'A', 'B', 'alpha', 'beta', 'c_code', 'g_web', 'g_code')
    """
    return _unambiguous(
        _scaled(_distinct(domains, "additive_mixture_of('web', 'code')"), joint=False)
    )


def joint_mixture_of(*domains: str) -> Law:
    """The law of :func:`additive_mixture_of` whose A and B depend on the mixture too.

    E + K / (sum of c h^g) + A (sum of a h)^g_A N^-alpha + B (sum of b h)^g_B D^-beta, where c, a
    and b are 1 for the first domain. The best shares depend on N and D.

    Args:
        domains: as for :func:`additive_mixture_of`.

    Returns:
        A law of the same columns, with the parameters a_<domain>, b_<domain> of each domain but the
        first and g_A, g_B in addition. g_A is identified only where the a differ, g_B where the b
        do: with few mixtures at one size, the additive law predicts as well.

    Raises:
        ArgumentError: as for :func:`additive_mixture_of`.
        LawError: as for :func:`additive_mixture_of`.

    Example:
        >>> joint_mixture_of("web", "code").names[-4:]
        ('a_code', 'b_code', 'g_A', 'g_B')
    """
    return _unambiguous(_scaled(_distinct(domains, "joint_mixture_of('web', 'code')"), joint=True))


def convex_in_shares(law: Law, params: Mapping[str, Any]) -> bool:
    """Whether a law is known to be convex in the shares at these parameters, so that a local
    optimum is global.

    True of c + k exp(t r) where k is not negative, and of the additive law where besides every
    exponent of a share is at most 1: one over a concave positive function is convex. False says
    nothing.

    Args:
        law: a law.
        params: its parameters by name, numbers or arrays of draws.
    """
    made = law.maker[0] if law.maker else None

    def none_negative(*names: str) -> bool:
        """Bounds of a caller may let an amplitude below zero, which turns a valley into a hill."""
        return all(np.all(np.asarray(params[name]) >= 0) for name in names)

    if law is data_mixture or made is mixture_of:
        return none_negative("k")
    if law is additive_mixture or made in (additive_mixture_of, joint_mixture_of):
        own = ("g1", "g2", "g3") if law is additive_mixture else [f"g_{d}" for d in law.columns[2:]]
        concave = all(np.all(np.asarray(params[name]) <= 1) for name in own)
        # A power of a linear form is convex from an exponent of one on.
        rising = [params[name] for name in ("g_A", "g_B") if name in law.names]
        sizes = ("K", "A", "B") if rising else ("K",)
        return (
            none_negative(*sizes)
            and concave
            and all(np.all(np.asarray(item) >= 1) for item in rising)
        )
    return False


def _require_domains(domains: tuple[str, ...], example: str) -> None:
    """Raise where a domain is no name."""
    for place, domain in enumerate(domains):
        text(domain, f"domains[{place}]", remedy=f"Name columns, as {example}")


def _unambiguous(made: Law) -> Law:
    """A law, unless a domain has the name of one of its parameters or of its response.

    Raises:
        LawError: one has.
    """
    for name in made.columns:
        if name in (*made.names, made.response):
            raise LawError(
                f"{name!r} is the name of a parameter of the law or of its response, and no domain "
                "can have it too. Rename its column, as "
                f"runs.rename(columns={{{name!r}: {name + '_share'!r}}})"
            )
    return made


def _distinct(domains: tuple[str, ...], example: str) -> tuple[str, ...]:
    """Two domains or more, each once, none of them size or tokens."""
    _require_domains(domains, example)
    if len(domains) < 2 or len({"N", "D", *domains}) < len(domains) + 2:
        raise LawError(
            f"name every domain, once, and none N or D, not {', '.join(domains) or 'none'}: "
            f"as {example}"
        )
    return domains


@cache
def _mixture(domains: tuple[str, ...]) -> Law:
    """The law of these domains, the same object each time."""

    def exponential(*shares: Any, c: Any, k: Any, **slopes: Any) -> Any:
        """L(r) = c + k exp(sum of t r)"""
        pairs = zip(domains, shares, strict=True)
        return c + k * jnp.exp(sum(slopes[f"t_{domain}"] * share for domain, share in pairs))

    params = [Param("c", annotation(Offset, Kind)), Param("k", annotation(Amplitude, Kind))]
    params += [Param(f"t_{domain}", slope_of(domain)) for domain in domains]
    return Law(
        exponential,
        f"mixture_of_{len(domains) + 1}",
        domains,
        tuple(params),
        SOURCE,
        latex=r"L(r) = c + k e^{\sum_i t_i r_i}",
        domains=dict.fromkeys(domains, annotation(Share, Domain)),
        relations=_parts(domains),
        maker=(mixture_of, domains),
    )


@cache
def _scaled(domains: tuple[str, ...], joint: bool) -> Law:
    """The law of size, tokens and these domains, the same object each time."""
    first, *others = domains

    def additive(N: Any, D: Any, *shares: Any, **p: Any) -> Any:
        """L(N, D, h) = E + K / (sum of c h^g) + A N^-alpha + B D^-beta"""
        return p["E"] + _bias(shares, p) + p["A"] * N ** -p["alpha"] + p["B"] * D ** -p["beta"]

    def both(N: Any, D: Any, *shares: Any, **p: Any) -> Any:
        """L = E + K / (sum c h^g) + A (sum a h)^g_A N^-alpha + B (sum b h)^g_B D^-beta"""
        model = p["A"] * _linear(shares, "a", p) ** p["g_A"]
        data = p["B"] * _linear(shares, "b", p) ** p["g_B"]
        return p["E"] + _bias(shares, p) + model * N ** -p["alpha"] + data * D ** -p["beta"]

    def _linear(shares: Any, letter: str, p: Any) -> Any:
        rest = zip(others, shares[1:], strict=True)
        return shares[0] + sum(p[f"{letter}_{domain}"] * share for domain, share in rest)

    def _bias(shares: Any, p: Any) -> Any:
        rest = zip(others, shares[1:], strict=True)
        worth = _power(shares[0], p[f"g_{first}"]) + sum(
            p[f"c_{domain}"] * _power(share, p[f"g_{domain}"]) for domain, share in rest
        )
        return p["K"] / worth

    kinds: list[tuple[str, Any]] = [("E", Offset), ("K", Amplitude), ("A", Amplitude)]
    kinds += [("B", Amplitude), ("alpha", Exponent), ("beta", Exponent)]
    kinds += [(f"c_{domain}", Worth) for domain in others]
    kinds += [(f"g_{domain}", Concavity) for domain in domains]
    if joint:
        kinds += [(f"{letter}_{domain}", Worth) for letter in "ab" for domain in others]
        kinds += [("g_A", Concavity), ("g_B", Concavity)]
    share, positive = annotation(Share, Domain), annotation(Positive, Domain)
    return Law(
        both if joint else additive,
        f"{'joint' if joint else 'additive'}_mixture_of_{len(domains)}",
        ("N", "D", *domains),
        tuple(Param(name, annotation(kind, Kind)) for name, kind in kinds),
        JOINT if joint else ADDITIVE,
        latex=_latex(joint),
        domains={"N": positive, "D": positive, **dict.fromkeys(domains, share)},
        relations=_whole(domains),
        maker=(joint_mixture_of if joint else additive_mixture_of, domains),
    )


def _latex(joint: bool) -> str:
    """The formula of size, tokens and shares."""
    model, data = (r"\frac{A}{N^\alpha}", r"\frac{B}{D^\beta}")
    if joint:
        model = r"A (\sum_i a_i h_i)^{g_A} N^{-\alpha}"
        data = r"B (\sum_i b_i h_i)^{g_B} D^{-\beta}"
    return rf"L(N, D, h) = E + \frac{{K}}{{\sum_i c_i h_i^{{g_i}}}} + {model} + {data}"
