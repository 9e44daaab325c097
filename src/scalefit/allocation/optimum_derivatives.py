"""The optimum of a budget as JAX differentiates it: Newton steps from the solver's solution.

The start is a solution without derivatives. Two steps towards the root of the optimality
conditions with the Jacobian held fixed: each makes derivatives of one more order those of the
root (the implicit function theorem, once for each step).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.allocation.problem_batch import LIMITED, TURN, Batch
from scalefit.allocation.problem_form import ProblemForm, ProblemValues, programs_of
from scalefit.allocation.size_search import best_size
from scalefit.allocation.solver import in_batches, with_turns
from scalefit.allocation.token_elimination import tokens_at

__all__ = ["START", "newton", "newton_start"]


def newton_start(
    form: ProblemForm, params: Mapping[str, np.ndarray], values: ProblemValues
) -> list[np.ndarray]:
    """What :func:`newton` starts from: the optima of one budget, and the inverse Jacobian there.

    Args:
        form: of a problem with a budget, without limits and extras.
        params: parameters of the law, each of shape (draws,).
        values: its numbers, of one problem.

    Returns:
        ``START`` arrays of shape (draws,).
    """
    found: _Start = in_batches(_started, with_turns(form, params, values), params, values)
    return [item[:, 0] for item in found]


def newton(
    form: ProblemForm, values: ProblemValues, params: Sequence[Any], start: Sequence[Any]
) -> tuple[dict[str, Any], Any]:
    """Free columns and loss of the optimum of a budget, to be differentiated at most twice.

    Args:
        form: of a problem with a budget, without limits and extras.
        values: its numbers, of one problem.
        params: parameters of the law in order, arrays that broadcast.
        start: from :func:`newton_start`.
    """
    programs = programs_of(form, tuple(sorted(values.fixed)))
    given = [float(values.fixed[name][0]) for name in programs.fixed]
    level, one_size = math.log(float(np.ravel(values.level)[0])), _is_fixed(*values.box[0, 0])
    operations = programs.operations(programs.loss, programs.ln_cost)

    def conditions(params: Sequence[Any], x: Any, u: Any, turned: Any) -> tuple[Any, Any]:
        def at(x: Any, u: Any) -> list[Any]:
            return list(operations(*given, *params, x, u))

        (_, paid), (loss_x, paid_x) = jax.jvp(partial(at, u=u), (x,), (jnp.ones(()),))
        _, (loss_u, paid_u) = jax.jvp(partial(at, x), (u,), (jnp.ones(()),))
        # Lagrange: the gradients of loss and ln(cost) are parallel, and the budget is spent; or,
        # where more tokens hurt, both slopes of the loss vanish.
        tilt = jnp.where(turned, loss_x, loss_x * paid_u - loss_u * paid_x)
        return tilt, jnp.where(turned, loss_u, paid - level)

    def optimum(params: Sequence[Any], start: Sequence[Any]) -> tuple[Any, Any, Any]:
        x, u, a, b, c, d, turned = start
        for _ in range(2):
            tilt, over = conditions(params, x, u, turned)
            x, u = x if one_size else x - (a * tilt + b * over), u - (c * tilt + d * over)
        return x, u, operations(*given, *params, x, u)[0]

    each = optimum
    for _ in range(max(jnp.ndim(item) for item in (*params, *start))):
        each = jax.vmap(each)
    x, u, loss = each(list(params), list(start))
    free = (
        {form.token_column: jnp.exp(u)}
        if one_size
        else {form.size_column: jnp.exp(x), form.token_column: jnp.exp(u)}
    )
    return free, loss


class _Start(NamedTuple):
    """Ln size, ln tokens, the inverse Jacobian ((a, b), (c, d)), whether the law turns there."""

    x: Any
    u: Any
    a: Any
    b: Any
    c: Any
    d: Any
    turned: Any


def _started(batch: Batch) -> _Start:
    x, state = best_size(batch)
    u, _, active = tokens_at(batch, x)
    turned = active[:, 0] == TURN
    found = [np.broadcast_to(item, x.shape)[:, 0] for item in batch.run("expansion", x, u)]
    # Loss f and ln(cost) g by turns: values, slopes in x and u, second derivatives xx, xu, uu.
    _, _, fx, gx, fu, gu, fxx, gxx, fxu, gxu, fuu, guu = found
    tilt_x = fxx * gu + fx * gxu - fxu * gx - fu * gxx
    tilt_u = fxu * gu + fx * guu - fuu * gx - fu * gxu
    tilt_x, tilt_u, gx, gu = np.where(turned, [fxx, fxu, fxu, fuu], [tilt_x, tilt_u, gx, gu])
    # A kink of the law in its columns, as where repetition begins, holds the size where it is.
    kink = state[:, 0] == LIMITED
    fixed = _is_fixed(*batch.values.box[0]) | kink
    gx, tilt_x, tilt_u = np.where(fixed, [[0.0], [1.0], [0.0]], [gx, tilt_x, tilt_u])
    scale = 1.0 / (tilt_x * gu - tilt_u * gx)
    slope = np.where(kink, 0.0, gu * scale)
    inverse = slope, -tilt_u * scale, -gx * scale, tilt_x * scale
    return _Start(x[:, 0], u[:, 0], *inverse, turned.astype(np.float64))


def _is_fixed(low: Any, high: Any) -> Any:
    """Whether the range of sizes is a single one."""
    return low == high


# Numbers that :func:`newton` starts from.
START = len(_Start._fields)
