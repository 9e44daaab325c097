"""Training and serving together: what a model costs over its life.

Training takes 6 N D FLOPs, every token served 2 N. Both are proportional to N, so that the lifetime
cost is k N D + m N whatever the unit: FLOPs, or dollars on one accelerator for training and another
for serving. Divided by k that is N (D + rho), and one number, rho, is all that the optimum depends
on: the *effective inference tokens* are 3 rho.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import lax

from scalefit.allocation.additive_optimum import in_float64
from scalefit.allocation.costs import Cost
from scalefit.allocation.flop_counts import ASPECT, shape_of
from scalefit.allocation.hardware import Hardware, Utilisation, find_hardware, usd_per_flop
from scalefit.arguments import instance, number
from scalefit.laws.additive_forms import array, exponents, library, logaddexp, sizes

__all__ = [
    "best_tokens_for_budget",
    "best_tokens_for_loss",
    "effective_inference_tokens",
    "kinetics",
    "kinetics_flops",
    "lifetime",
    "lifetime_optimum",
    "lifetime_usd",
]

SARDANA = "Sardana et al. 2024, arXiv 2401.00448"

TRAIN = 6.0
SERVE = 2.0

GROUP = "Pass the query heads to one key-value head, as group=4"

# The equations are convex and started within ln 2 over their slope of the root: Newton is monotone
# and at rounding after five steps.
NEWTON_STEPS = 8


@dataclass(frozen=True)
class TrainAndServe:
    """The function N (k D + m)."""

    k: float
    m: float

    def __call__(self, N: Any, D: Any) -> Any:
        """K N D + m N"""
        return N * (self.k * D + self.m)


@dataclass(frozen=True)
class TrainAndAnswer:
    """The function 6 N D + requests x :func:`kinetics_flops`."""

    requests: float
    aspect: float
    prompt: float
    generation: float
    trials: float
    group: float
    intensity: float

    def __call__(self, N: Any, D: Any) -> Any:
        """FLOPs of training, and what answering is worth."""
        n_layers, d_model = shape_of(N, aspect=self.aspect)
        kv = 2.0 * n_layers * d_model / self.group
        one = kinetics_flops(
            N,
            kv,
            prompt=self.prompt,
            generation=self.generation,
            trials=self.trials,
            group=self.group,
            intensity=self.intensity,
        )
        return TRAIN * N * D + self.requests * one


def lifetime(tokens: float, name: str | None = None) -> Cost:
    """The cost 6 N D + 2 N T: training, and T tokens of inference.

    Args:
        tokens: T, prompt and generated tokens over the model's life, or effective ones.
        name: how reports call it.

    Returns:
        The cost, FLOP.

    Raises:
        ArgumentError: T is negative or not finite.

    Source:
        Sardana et al. 2024, arXiv 2401.00448, the lifetime objective.

    Example:
        >>> from scalefit.allocation import lifetime
        >>> lifetime(2e12)
        <Cost lifetime(N, D) in FLOP: 6 N D + 2 N T, T = 2e+12>
    """
    T = _count(tokens, "tokens", "2e12")
    called = "lifetime" if name is None else name
    return _two_terms(called, TRAIN, SERVE * T, "FLOP", f"6 N D + 2 N T, T = {T:g}")


def lifetime_usd(
    input_tokens: float,
    output_tokens: float,
    *,
    requests: float = 1.0,
    train: Hardware | str = "H100 SXM bf16",
    serve: Hardware | str = "H100 SXM fp8",
    utilisation: Utilisation | None = None,
    name: str | None = None,
) -> Cost:
    """Dollars of training, and of reading and writing tokens over a model's life.

    6 N D c_t / U_t + 2 N c_s (T_in / U_in + T_out / U_out), with c the dollars of a FLOP at the
    dense peak of the device, and U the share of the peak. Served at another precision the device
    has another peak: ``H100 SXM fp8``.

    Args:
        input_tokens: tokens read, per request.
        output_tokens: tokens written, per request.
        requests: over the model's life.
        train: accelerator of training, or its name.
        serve: accelerator of serving, or its name.
        utilisation: shares of the dense peak; by default 0.5, 0.5 and, of writing, 0.01.
        name: how reports call it.

    Returns:
        The cost, USD.

    Raises:
        ArgumentError: a count is negative, or an accelerator is unknown.

    Source:
        Sardana et al. 2024, arXiv 2401.00448, the objective in dollars.

    Example:
        >>> from scalefit.allocation import lifetime_usd
        >>> cost = lifetime_usd(70, 215, requests=1e10)
        >>> f"${cost(70e9, 4.26e12) / 1e6:.2f}M"
        '$10.51M'
    """
    use = instance(
        Utilisation() if utilisation is None else utilisation,
        "utilisation",
        Utilisation,
        wanted="shares of the dense peak by phase",
        remedy="Pass scalefit.allocation.Utilisation(train=0.5, prefill=0.5, decode=0.01)",
    )
    train, serve = find_hardware(train, "train"), find_hardware(serve, "serve")
    times = _count(requests, "requests", "1e10")
    read, written = (
        times * _count(tokens, argument, example)
        for argument, tokens, example in (
            ("input_tokens", input_tokens, "70"),
            ("output_tokens", output_tokens, "215"),
        )
    )
    k = TRAIN * usd_per_flop(train, use.train)
    m = SERVE * (
        read * usd_per_flop(serve, use.prefill) + written * usd_per_flop(serve, use.decode)
    )
    called = "lifetime_usd" if name is None else name
    formula = (
        f"{k:.4g} N D + {m:.4g} N: trained on {train}, {read:.3g} tokens read and {written:.3g} "
        f"written on {serve}"
    )
    return _two_terms(called, k, m, "USD", formula)


def effective_inference_tokens(
    input_tokens: float,
    output_tokens: float,
    *,
    requests: float = 1.0,
    train: Hardware | str = "H100 SXM bf16",
    serve: Hardware | str = "H100 SXM fp8",
    utilisation: Utilisation | None = None,
) -> float:
    """T_eff = 3 rho, rho = c_s (T_in / U_in + T_out / U_out) / (3 c_t / U_t)

    The T for which 6 N D + 2 N T has the optimum that dollars have, with the same arguments as
    :func:`lifetime_usd`. At a utilisation of 0.01 for writing, a token written counts as 50 read.

    Raises:
        ArgumentError: a count is negative, or an accelerator is unknown.

    Source:
        Sardana et al. 2024, arXiv 2401.00448: the objective in dollars, solved for one number.

    Example:
        >>> from scalefit.allocation import effective_inference_tokens
        >>> f"{effective_inference_tokens(70, 215, requests=1e10):.3g}"
        '5.41e+13'
    """
    cost = lifetime_usd(
        input_tokens,
        output_tokens,
        requests=requests,
        train=train,
        serve=serve,
        utilisation=utilisation,
    )
    assert cost.per_product is not None
    return 3.0 * cost.per_model / cost.per_product


def kinetics_flops(
    N: Any,
    kv: Any,
    *,
    prompt: float,
    generation: float,
    trials: float = 1.0,
    group: float,
    intensity: float,
) -> Any:
    """2 n N L_out + r n kv (2 L_in + L_out) L_out + I kv (2 L_in + n L_out) L_out

    Compute of answering one prompt, with the traffic of the key-value cache counted as the FLOPs
    that the device could do meanwhile. The prompt's cache is shared by the n trials; reading the
    weights and the prompt itself are left out (large batches).

    Args:
        N: active parameters, count.
        kv: elements of keys and values per token over all layers, 2 x heads x head size x layers;
            of two bytes each.
        prompt: L_in, tokens.
        generation: L_out, tokens of one trial.
        trials: n.
        group: r, query heads to one key-value head.
        intensity: I, FLOPs per byte of the device: :attr:`Hardware.ridge`. The paper's 562.5 pairs
            a peak twice the dense bf16 one with bf16 bytes; say which you mean.

    Returns:
        FLOPs that serving one prompt is worth.

    Source:
        Sadhukhan et al. 2025, arXiv 2506.05333, eFLOPs, the additive form.

    Example:
        >>> kv = 2 * 8 * 128 * 36
        >>> whole = kinetics_flops(
        ...     8.19e9, kv, prompt=200, generation=16384, group=4, intensity=562.5
        ... )
        >>> f"{whole / 1e12:.1f} TFLOP"
        '11753.8 TFLOP'
    """
    compute = 2.0 * trials * N * generation
    compute = compute + group * trials * kv * (2.0 * prompt + generation) * generation
    memory = kv * (2.0 * prompt + trials * generation) * generation
    return compute + intensity * memory


def kinetics(
    requests: float,
    *,
    prompt: float,
    generation: float,
    trials: float = 1.0,
    group: float,
    intensity: float,
    aspect: float = ASPECT,
    name: str | None = None,
) -> Cost:
    """The cost 6 N D + requests x :func:`kinetics_flops`: training and memory-aware serving.

    The cache per token follows from N through the shape: 2 l d / r elements in l layers of width
    d = ``aspect`` l with N = 12 l d^2. It grows slower than N, so that long answers favour larger
    models than 2 N T does.

    Args:
        requests: prompts over the model's life.
        prompt: tokens read, each.
        generation: tokens written, each and by every trial.
        trials: answers to each prompt.
        group: query heads to one key-value head.
        intensity: FLOPs per byte of the serving device: :attr:`Hardware.ridge`.
        aspect: width over depth.
        name: how reports call it.

    Returns:
        The cost, FLOP.

    Raises:
        ArgumentError: a number is negative, or the aspect ratio not positive.

    Source:
        Sadhukhan et al. 2025, arXiv 2506.05333.

    Example:
        >>> from scalefit.allocation import HARDWARE, kinetics
        >>> ridge = HARDWARE["H100 SXM bf16"].ridge
        >>> cost = kinetics(1e9, prompt=200, generation=4000, group=4, intensity=ridge)
        >>> f"{cost(8e9, 1e12):.3g}"
        '5.11e+23'
    """
    count = _count(requests, "requests", "1e9")
    given = {
        "prompt": _count(prompt, "prompt", "200"),
        "generation": _count(generation, "generation", "4000"),
        "trials": _count(trials, "trials", "1"),
        "group": number(group, "group", above=0, remedy=GROUP),
        "intensity": _count(intensity, "intensity", "295.3"),
    }
    aspect = number(aspect, "aspect", above=0, remedy="Pass width over depth, as aspect=128")

    said = ", ".join(f"{key} {value:g}" for key, value in given.items())
    return Cost(
        "kinetics" if name is None else name,
        TrainAndAnswer(count, aspect, **given),
        "Sadhukhan et al. 2025, arXiv 2506.05333",
        "FLOP",
        f"6 N D + {count:g} requests of eFLOPs ({said})",
    )


@in_float64
def lifetime_optimum(params: Mapping[str, Any], loss: Any, tokens: Any) -> tuple[Any, Any]:
    """N and D of least 6 N D + 2 N T among the models of a loss.

    With rho = T / 3, D solves (beta B / alpha + B) D^-beta + rho (beta B / alpha) D^(-beta-1) =
    L - E, which falls strictly in D; N = (A / (L - E - B D^-beta))^(1/alpha). At the optimum
    alpha A N^-alpha / (beta B D^-beta) = 1 + T / (3 D). T = 0 is the compute-optimal model.

    Args:
        params: E, A, B, alpha, beta, numbers or arrays.
        loss: loss to reach.
        tokens: T, or :func:`effective_inference_tokens`; broadcasts with the others.

    Returns:
        N and D, float64; NaN where the loss is not above E.

    Source:
        Sardana et al. 2024, arXiv 2401.00448, first-order condition, as in the code.

    Example:
        >>> import scalefit as sf
        >>> params = sf.published("chinchilla", "sardana").params
        >>> N, D = lifetime_optimum(params, 1.947, 2e12)
        >>> f"{N:.4g} parameters, {D:.4g} tokens"
        '2.418e+10 parameters, 2.657e+12 tokens'
    """
    alpha, beta = exponents(params)
    ln_a, ln_b = sizes(params)
    rho = array(tokens) * (SERVE / TRAIN)
    ln_d = best_tokens_for_loss(params, loss, rho)
    xp = library(ln_d, rho)
    # From the wedge, which unlike L - E - B D^-beta is no difference.
    ln_w = xp.log1p(rho * xp.exp(-ln_d))
    ln_n = (xp.log(alpha / beta) + ln_a - ln_b + beta * ln_d - ln_w) / alpha
    return xp.exp(ln_n), xp.exp(ln_d)


def best_tokens_for_loss(params: Mapping[str, Any], loss: Any, rho: Any) -> Any:
    """Ln D of the cheapest model of a loss under N (D + rho); NaN where there is none.

    The logarithm of the first-order condition of :func:`lifetime_optimum` is convex and falls in
    ln D, and each of its two terms alone has its root to the left: Newton from the larger of those
    moves right, monotonically, and has derivatives in the parameters.
    """
    alpha, beta = exponents(params)
    ln_b = sizes(params)[1]
    excess = array(loss) - params["E"]
    xp = library(excess, alpha, beta, ln_b, rho)
    ln_excess = xp.log(xp.where(excess > 0, excess, np.nan))
    data = xp.log1p(beta / alpha) + ln_b - ln_excess
    serving = xp.log(beta / alpha) + ln_b + _ln(rho) - ln_excess
    x = _constant(xp.maximum(data / beta, serving / (beta + 1.0)))
    for _ in range(NEWTON_STEPS):
        first, second = data - beta * x, serving - (beta + 1.0) * x
        weight = 1.0 / (1.0 + xp.exp(first - second))
        x = x + logaddexp(first, second) / (beta + weight)
    return x


def best_tokens_for_budget(params: Mapping[str, Any], product: Any, rho: Any) -> Any:
    """Ln D of the least loss with N (D + rho) = ``product``, a budget over k.

    Here the logarithm of the wedge condition, (alpha - 1) ln(D + rho) + (beta + 1) ln D = constant,
    rises in ln D; it is concave for alpha below 1 and convex above, and Newton's method
    starts on the side of the root from which it is monotone.
    """
    alpha, beta = exponents(params)
    ln_a, ln_b = sizes(params)
    product, ln_rho = array(product), _ln(rho)
    xp = library(product, alpha, beta, ln_a, ln_b, rho)
    level = alpha * xp.log(product) - xp.log(alpha / beta) - ln_a + ln_b
    alone = level / (alpha + beta)
    # Without rho the second root is at minus or plus infinity, and is not the one chosen.
    served = (level - (alpha - 1.0) * xp.where(xp.isfinite(ln_rho), ln_rho, 0.0)) / (beta + 1.0)
    ends = xp.where(alpha < 1.0, xp.maximum(alone, served), xp.minimum(alone, served))
    x = _constant(xp.where(xp.isfinite(ln_rho), ends, alone))
    for _ in range(NEWTON_STEPS):
        total = logaddexp(x, ln_rho)
        slope = (alpha - 1.0) * xp.exp(x - total) + beta + 1.0
        x = x - ((alpha - 1.0) * total + (beta + 1.0) * x - level) / slope
    return x


def _constant(value: Any) -> Any:
    """The start of Newton's method, which is not differentiated."""
    return value if library(value) is np else lax.stop_gradient(value)


def _ln(rho: Any) -> Any:
    """Ln rho, with which a rho of zero leaves no NaN in derivatives."""
    rho = array(rho)
    xp = library(rho)
    return xp.where(rho > 0, xp.log(xp.where(rho > 0, rho, 1.0)), -np.inf)


def _two_terms(name: str, k: float, m: float, unit: str, formula: str) -> Cost:
    return Cost(name, TrainAndServe(k, m), SARDANA, unit, formula, per_product=k, per_model=m)


def _count(value: float, argument: str, example: str) -> float:
    return number(value, argument, least=0, remedy=f"Pass {argument}={example}")
