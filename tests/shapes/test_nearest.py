"""Shapes near the optimum: the best by brute force, what they afford, and refusals."""

import re

import numpy as np
import pytest
from border import Row, check

import scalefit as sf
from scalefit.shapes import Transformer, nearest

FIT = sf.published("chinchilla", "besiroglu")


def loss_at(N, D):
    p = FIT.params
    return p["E"] + p["A"] * N ** -p["alpha"] + p["B"] * D ** -p["beta"]


def brute_force(budget, head_size, multiple, aspect, **same):
    """The best depth of every width, by the loss that 6 N D affords."""
    best = {}
    for width in range(multiple, 4096, multiple):
        for layers in range(1, 300):
            if not aspect[0] <= width / layers <= aspect[1]:
                continue
            shape = Transformer(width=width, layers=layers, head_size=head_size, **same)
            N = shape.parameters.total
            loss = loss_at(N, budget / (6 * N))
            if width not in best or loss < best[width][0]:
                best[width] = (loss, layers, N)
    return sorted((loss, width, layers, N) for width, (loss, layers, N) in best.items())


def test_the_shapes_are_the_best_of_all_by_the_rules():
    same = {"vocab": 32000, "tied": True}
    found = nearest(FIT, 1e19, head_size=64, width_multiple=256, aspect=(20, 200), **same)
    expected = brute_force(1e19, 64, 256, (20, 200), **same)[: len(found.shapes)]
    assert [shape.width for shape in found.shapes] == [width for _, width, *_ in expected]
    assert [shape.layers for shape in found.shapes] == [layers for _, _, layers, _ in expected]
    np.testing.assert_array_equal(found.N, [N for *_, N in expected])
    np.testing.assert_allclose(found.loss, [loss for loss, *_ in expected], rtol=1e-14)
    np.testing.assert_allclose(6 * found.N * found.D, 1e19, rtol=1e-14)
    best = sf.allocate(FIT, 1e19)
    np.testing.assert_allclose(found.excess, found.loss - best.loss, atol=1e-15)
    assert (found.excess > 0).all() and (np.diff(found.loss) > 0).all()
    assert (np.abs(np.log(found.N / best.N)) <= np.log(4)).all()


def test_every_rule_is_kept():
    found = nearest(
        FIT,
        1e22,
        vocab=128256,
        head_size=64,
        width_multiple=384,
        layers_multiple=4,
        aspect=(80, 120),
        queries_per_key=8,
        feed_forward_ratio=3.5,
        feed_forward_multiple=1024,
        count=4,
        seq=8192,
    )
    assert 1 < len(found.shapes) <= 4
    for shape in found.shapes:
        # 384 and 64 x 8 have 1,536 in common.
        assert shape.width % 1536 == 0 and shape.layers % 4 == 0
        assert 80 <= shape.width / shape.layers <= 120
        assert shape.head_size == 64 and shape.heads == 8 * shape.kv_heads
        assert shape.heads * 64 == shape.width and shape.seq == 8192
        assert 0 <= shape.feed_forward - 3.5 * shape.width < 1024
        assert shape.feed_forward % 1024 == 0


def test_tokens_are_what_the_shapes_own_flops_afford():
    rules = {"vocab": 50304, "gated": False, "head_size": 64, "width_multiple": 64}
    found = nearest(FIT, 1e18, convention="matmul", size="matmul", **rules)
    for shape, N, D in zip(found.shapes, found.N, found.D, strict=True):
        assert shape.parameters.matmul == N
        assert shape.flops_per_token("matmul") * D == pytest.approx(1e18, rel=1e-12)
    # Attention scores leave fewer tokens than 6ND does.
    plain = nearest(FIT, 1e18, size="matmul", **rules)
    assert plain.excess[0] < 1e-4 < found.excess[0]
    assert not {"free_parameters"} & {note.code for note in (*plain.notes, *found.notes)}


def test_parameters_that_cost_nothing_are_told_of():
    rules = {"vocab": 50304, "head_size": 64, "convention": "matmul"}
    found = nearest(FIT, 1e18, **rules)
    (note,) = [note for note in found.notes if note.code == "free_parameters"]
    # An embedding beside the output layer: the widest shapes seem to beat the optimum.
    assert found.excess[0] < 0 and "free_parameters" in found.summary()
    per_token = found.flops_per_token[0] / found.N[0]
    assert note.details["share"] == pytest.approx(1 - per_token / 6)
    for mended in ({"size": "matmul"}, {"convention": "6N"}, {"tied": True}):
        again = nearest(FIT, 1e18, **{**rules, **mended})
        assert "free_parameters" not in {note.code for note in again.notes}
        assert again.excess[0] > 0


def test_n_is_counted_as_the_fits_is():
    found = nearest(FIT, 1e19, vocab=128256, size="blocks", head_size=64)
    counts = [shape.parameters.blocks for shape in found.shapes]
    np.testing.assert_array_equal(found.N, counts)
    assert found.shapes[0].parameters.total > 1.3 * found.N[0]


def test_experts_are_searched_with_the_rest_of_their_shape():
    experts = {"experts": 8, "active_experts": 2, "dense_layers": 1}
    found = nearest(FIT, 1e20, vocab=32000, size="active", head_size=64, **experts)
    for shape, N in zip(found.shapes, found.N, strict=True):
        assert (shape.experts, shape.dense_layers, shape.parameters.active) == (8, 1, N)


def test_an_allocation_brings_its_budget_and_its_optimum():
    best = sf.allocate(FIT, 1e19, cost="porian", limits={"N": 2e8})
    found = nearest(FIT, best, vocab=32000, head_size=64, width_multiple=64)
    assert found.best is best
    assert found.N[0] == pytest.approx(2e8, rel=0.35)
    np.testing.assert_allclose(found.excess, found.loss - best.loss, atol=1e-15)


def test_further_columns_are_fixed_or_those_of_the_allocation():
    fit = sf.published("data_constrained", "muennighoff")
    found = nearest(fit, 1e20, vocab=32000, head_size=64, fixed={"U": 1e9})
    expected = fit.evaluate(N=found.N, D=found.D, U=1e9)
    np.testing.assert_allclose(found.loss, expected)


def test_an_ensemble_gives_intervals():
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.003, seed=1)
    draws = sf.bootstrap(sf.fit(runs), runs, 20, progress=False)
    found = nearest(draws, 1e20, vocab=32000, head_size=64)
    frame = found.to_frame()
    assert (frame["loss_low"] < frame["loss"]).all() and (frame["loss"] < frame["loss_high"]).all()
    drawn = found.estimate("excess").draws
    losses = draws.estimate_loss(N=found.N, D=found.D).draws
    optimum = sf.allocate(draws, 1e20).draws["loss"]
    np.testing.assert_allclose(drawn, losses - optimum[:, None], atol=1e-14)
    assert (drawn > -1e-12).all()
    assert "95 % intervals" in found.summary()
    with pytest.raises(sf.errors.ArgumentError, match="an allocation of this fit"):
        nearest(draws, sf.allocate(draws.fit, 1e20), vocab=32000)
    with pytest.raises(sf.errors.AllocationError, match="Take those of an ensemble"):
        nearest(FIT, 1e20, vocab=32000).estimate("loss")


def test_a_report_names_the_shape_the_convention_and_the_optimum():
    found = nearest(FIT, 1e21, vocab=32000, size="matmul", convention="porian")
    text = found.summary()
    first = found.shapes[0]
    assert f"{first.layers} layers of width {first.width:,}" in text
    assert "porian" in text and "matmul" in text and "above optimum" in text
    for rendered in (found.to_latex(), found.to_markdown(), found._repr_html_()):
        assert "tokens" in rendered
    frame = found.to_frame()
    assert frame["aspect"].between(50, 150).all() and len(frame) == len(found.shapes)


@pytest.mark.parametrize(
    ("budget", "rules", "said"),
    [
        (1e17, {"layers_multiple": 64}, "layers_multiple=1"),
        (1e18, {"head_size": 2048}, "head_size=32, width_multiple=32"),
        (1e18, {"width_multiple": 2048}, "width_multiple=1"),
        (1e17, {"aspect": (0.1, 0.2)}, "aspect=(0.1, "),
    ],
)
def test_the_rule_that_excludes_is_named_and_loosened(budget, rules, said):
    rules = {"vocab": 3000, **rules}
    with pytest.raises(sf.errors.AllocationError, match="excluded by one rule") as caught:
        nearest(FIT, budget, **rules)
    message = str(caught.value)
    assert said in message
    ways = re.split(", or as ", message.partition("loosen it, as ")[2])
    for way in ways:
        found = nearest(FIT, budget, **{**rules, **eval(f"dict({way})")})
        assert len(found.shapes)


def test_a_vocabulary_that_is_too_large_is_named():
    with pytest.raises(sf.errors.AllocationError, match=r"vocab=50304 takes .*larger budget"):
        nearest(FIT, 1e14, vocab=50304)


def test_a_fit_in_another_unit_is_told_of():
    frame = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.003, seed=1)
    fit = sf.fit(frame.assign(N=frame["N"] / 1e6))
    with pytest.raises(
        sf.errors.AllocationError, match=r"optimal 620 parameters: the table .*N in millions"
    ):
        nearest(fit, 1e14, vocab=32000)


def test_rules_that_no_shape_keeps_to_are_refused():
    with pytest.raises(sf.errors.AllocationError, match="No rule excludes them alone"):
        nearest(FIT, 1e18, vocab=100, head_size=4096, queries_per_key=64, aspect=(9, 9.001))


def found(**options):
    return nearest(**{"fit": FIT, "flops": 1e19, "vocab": 32000, "head_size": 64, **options})


LIMITED = sf.published("data_constrained", "muennighoff")
BEST = sf.allocate(FIT, [1e19, 1e20])

ROWS = [
    Row("no fit", found, {"fit": 3}, "fit", {"fit": FIT}),
    Row("no budget", found, {"flops": 0}, "flops"),
    Row("two budgets", found, {"flops": BEST}, "flops"),
    Row("no vocabulary", found, {"vocab": 0}, "vocab"),
    Row("no vocabulary at all", found, {"vocab": None}, "vocab"),
    Row("an unknown size", found, {"size": "body"}, "size"),
    Row("an unknown convention", found, {"convention": "6ND"}, "convention"),
    Row("another's convention", found, {"convention": "gemstones"}, "convention"),
    Row("half a head", found, {"head_size": 0.5}, "head_size"),
    Row("no multiple", found, {"layers_multiple": 0}, "layers_multiple"),
    Row("one aspect", found, {"aspect": 100}, "aspect"),
    Row("aspects the other way", found, {"aspect": (150, 50)}, "aspect"),
    Row("an aspect of nothing", found, {"aspect": (0, 50)}, "aspect[0]", {"aspect": (50, 150)}),
    Row("no ratio", found, {"feed_forward_ratio": 0}, "feed_forward_ratio"),
    Row("no shape at all", found, {"count": 0}, "count"),
    Row(
        "fixed to two",
        found,
        {"fit": LIMITED, "fixed": {"U": [1e9, 2e9]}},
        "flops",
        {"fixed": {"U": 1e9}},
    ),
    Row("dense as text", found, {"dense_layers": "1"}, "dense_layers", {"dense_layers": ...}),
    Row("fixed as a list", found, {"fixed": ["U"]}, "fixed", {"fixed": {}}),
    Row("a field of rules", found, {"heads": 8}, "field", {"heads": ...}),
    Row("a field of none", found, {"biases": ("all",)}, "biases[0]", {"biases": ("qkv",)}),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_nonsense_is_refused_and_mended_as_it_says(row):
    check(row)
