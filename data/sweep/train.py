"""Train one small language model on bytes, and say what it cost and how well it predicts.

A decoder-only transformer: causal, pre-norm, rotary positions, tied embeddings, two layers and two
heads at every width, so that width alone is the size. Adam; the learning rate warms up, then falls
linearly to zero at the end of the run's own budget. Float32 on whatever device JAX has.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

LAYERS = 2
HEADS = 2
CONTEXT = 64  # bytes that a window predicts
SYMBOLS = 128  # the text is ASCII
WARM_UP = 0.05  # share of the steps
BATCH = 4  # windows a step


@dataclass(frozen=True)
class Run:
    """One line of the manifest.

    Attributes:
        run: its name.
        part: why it is there: pilot, rate, isoflop, overtrained or target.
        width: of the residual stream, a multiple of 4.
        steps: of the optimiser; the run trains on steps * batch * CONTEXT bytes.
        batch: windows a step.
        lr: the largest learning rate.
        budget: FLOP that it was planned for, counted as 6 N D; None where steps were.
        seed: of the initial weights and of the order of the text.
    """

    run: str
    part: str
    width: int
    steps: int
    batch: int
    lr: float
    budget: float | None
    seed: int


def learning_rate(width: int) -> float:
    """The rule of the widths, 1 / (6 width), which ``rate.csv`` checks at three of them."""
    return float(f"{1 / (6 * width):.3g}")


class Block(eqx.Module):
    """Attention and a perceptron, each after a norm and added to the stream."""

    norms: tuple[eqx.nn.RMSNorm, eqx.nn.RMSNorm]
    qkv: eqx.nn.Linear
    out: eqx.nn.Linear
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    rotary: eqx.nn.RotaryPositionalEmbedding

    def __init__(self, width: int, key: jax.Array) -> None:
        keys = jax.random.split(key, 4)
        linear = partial(eqx.nn.Linear, use_bias=False)
        self.norms = (eqx.nn.RMSNorm(width, use_bias=False), eqx.nn.RMSNorm(width, use_bias=False))
        self.qkv = linear(width, 3 * width, key=keys[0])
        self.out = linear(width, width, key=keys[1])
        self.up = linear(width, 4 * width, key=keys[2])
        self.down = linear(4 * width, width, key=keys[3])
        self.rotary = eqx.nn.RotaryPositionalEmbedding(width // HEADS)

    def __call__(self, stream: jax.Array) -> jax.Array:
        """(CONTEXT, width) to the same."""
        heads = jax.vmap(self.qkv)(jax.vmap(self.norms[0])(stream))
        q, k, v = jnp.moveaxis(heads.reshape(len(stream), 3, HEADS, -1), 1, 0)
        turn = jax.vmap(self.rotary, in_axes=1, out_axes=1)
        attended = jax.nn.dot_product_attention(turn(q), turn(k), v, is_causal=True)
        stream = stream + jax.vmap(self.out)(attended.reshape(stream.shape))
        inner = jax.nn.gelu(jax.vmap(self.up)(jax.vmap(self.norms[1])(stream)))
        return stream + jax.vmap(self.down)(inner)


class Transformer(eqx.Module):
    """Bytes to logits of the next byte."""

    embedding: eqx.nn.Embedding
    blocks: list[Block]
    norm: eqx.nn.RMSNorm

    def __init__(self, width: int, key: jax.Array) -> None:
        first, *keys = jax.random.split(key, 1 + LAYERS)
        weight = 0.02 * jax.random.normal(first, (SYMBOLS, width))
        self.embedding = eqx.nn.Embedding(weight=weight)
        self.blocks = [Block(width, key) for key in keys]
        self.norm = eqx.nn.RMSNorm(width, use_bias=False)

    def __call__(self, symbols: jax.Array) -> jax.Array:
        """(CONTEXT,) to (CONTEXT, SYMBOLS)."""
        stream = self.embedding.weight[symbols]
        for block in self.blocks:
            stream = block(stream)
        return jax.vmap(self.norm)(stream) @ self.embedding.weight.T


def loss_of(model: Transformer, windows: jax.Array) -> jax.Array:
    """Mean cross-entropy, nats per byte, of (batch, CONTEXT + 1) bytes."""
    symbols = windows.astype(jnp.int32)
    logits = jax.vmap(model)(symbols[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, symbols[:, 1:]).mean()


def sizes(width: int) -> tuple[int, int]:
    """Parameters in all, and without the embedding."""
    body = LAYERS * (12 * width**2 + 2 * width) + width
    return body + SYMBOLS * width, body


def flops_per_byte(width: int) -> float:
    """Counted FLOPs of training on a byte: matrix products forward, and twice that backward.

    2 for each weight that multiplies (all but those of the norms; the embedding counts once, as the
    output), and for each layer two products of the whole CONTEXT by CONTEXT square of attention.
    """
    weights = LAYERS * 12 * width**2 + SYMBOLS * width
    return 3.0 * (2 * weights + LAYERS * 2 * 2 * CONTEXT * width)


class State(NamedTuple):
    """Of a training under way."""

    model: Transformer
    optimiser: Any
    step: jax.Array


ADAM = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b1=0.9, b2=0.99))


def one_step(state: State, windows: jax.Array, lr: Any, steps: Any) -> tuple[State, jax.Array]:
    """A step of Adam at the learning rate of its place in the schedule."""
    warm = jnp.maximum(WARM_UP * steps, 1.0)
    falling = jnp.maximum(steps - state.step, 0.0) / jnp.maximum(steps - warm, 1.0)
    rate = lr * jnp.minimum((state.step + 1) / warm, falling)
    loss, slope = jax.value_and_grad(loss_of)(state.model, windows)
    change, optimiser = ADAM.update(slope, state.optimiser)
    model = jax.tree.map(lambda weight, by: weight - rate * by, state.model, change)
    return State(model, optimiser, state.step + 1), loss


@jax.jit
def several_steps(
    state: State, text: jax.Array, rows: jax.Array, lr: Any, steps: Any
) -> tuple[State, jax.Array]:
    """A step for each line of rows (several, batch), and their losses."""
    return jax.lax.scan(lambda state, row: one_step(state, text[row], lr, steps), state, rows)


@jax.jit
def held_out_loss(model: Transformer, windows: jax.Array) -> jax.Array:
    """Mean loss of (batches, batch, CONTEXT + 1) bytes."""
    return jax.lax.map(partial(loss_of, model), windows).mean()


@cache
def measured_flops_per_byte(width: int, batch: int) -> float:
    """FLOPs of a step as XLA counts them in its program, elementwise work included, for a byte."""
    state = eqx.filter_eval_shape(initial, width, 0)
    windows = jax.ShapeDtypeStruct((batch, CONTEXT + 1), jnp.uint8)
    cost = jax.jit(one_step).lower(state, windows, 1.0, 1.0).cost_analysis()
    return cost["flops"] / (batch * CONTEXT)


def initial(width: int, seed: int) -> State:
    """Weights and optimiser before the first step."""
    model = Transformer(width, jax.random.key(seed))
    return State(model, ADAM.init(model), jnp.zeros((), jnp.int32))


def order(windows: int, needed: int, seed: int) -> np.ndarray:
    """Which window when: every one once, in random order, then all of them in another order."""
    draw = np.random.default_rng(seed)
    passes = [draw.permutation(windows) for _ in range(-(-needed // windows))]
    return np.concatenate(passes)[:needed].astype(np.int32)


# Steps of one call, so that one program serves every length. Steps past the end of a run have a
# learning rate of zero.
SEGMENT = 64


def train(run: Run, training: np.ndarray, held_out: np.ndarray) -> dict[str, Any]:
    """Train, and measure.

    Args:
        run: what to train.
        training: windows of bytes, (windows, CONTEXT + 1).
        held_out: the same, of other text.

    Returns:
        A line of results: the run, N in all and without the embedding, D in bytes, FLOPs counted
        and measured, held-out loss in nats per byte, status, seconds, device and versions. The
        status of a loss that is no number, or no better than that of a model that knows nothing, is
        "diverged".
    """
    start = time.perf_counter()
    text = jnp.asarray(training)
    rows = order(len(training), run.steps * run.batch, run.seed).reshape(run.steps, run.batch)
    state = initial(run.width, run.seed)
    rows = np.pad(rows, ((0, -run.steps % SEGMENT), (0, 0)))
    losses = np.empty(len(rows))
    for first in range(0, run.steps, SEGMENT):
        part = slice(first, first + SEGMENT)
        state, losses[part] = several_steps(state, text, rows[part], run.lr, float(run.steps))
    batches = max(size for size in range(1, 65) if len(held_out) % size == 0)
    shape = (batches, -1, held_out.shape[1])
    loss = float(held_out_loss(state.model, jnp.asarray(held_out).reshape(shape)))
    total, body = sizes(run.width)
    consumed = run.steps * run.batch * CONTEXT
    fine = math.isfinite(loss) and loss < math.log(SYMBOLS)
    return {
        **asdict(run),
        "N": total,
        "N_body": body,
        "D": consumed,
        "epochs": run.steps * run.batch / len(training),
        "flops_counted": flops_per_byte(run.width) * consumed,
        "flops_measured": measured_flops_per_byte(run.width, run.batch) * consumed,
        "loss": loss if math.isfinite(loss) else None,
        "training_loss": float(losses[: run.steps][-SEGMENT:].mean()) if fine else None,
        "status": "finished" if fine else "diverged",
        "seconds": round(time.perf_counter() - start, 2),
        "layers": LAYERS,
        "heads": HEADS,
        "context": CONTEXT,
        "device": jax.devices()[0].device_kind,
        "versions": {name: version(name) for name in ("jax", "equinox", "optax", "numpy")},
    }
