from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from scalefit.fitting.linear_solve import PIVOT_TOLERANCE, Factor, factorise, solve, solve_dense

SIZES = range(1, 11)
SOME_SIZES = (1, 2, 3, 5, 8, 10)

# One program for each size instead of one for each operation.
dense = jax.jit(solve_dense)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def definite(size: int, seed: int, *, batch: tuple[int, ...] = (), spread: float = 10.0) -> Any:
    """Symmetric positive definite matrices whose eigenvalues span 1 to ``spread``."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((*batch, size, size)))[0]
    values = np.geomspace(1.0, spread, size)
    return np.einsum("...ij,j,...kj->...ik", rotation, values, rotation)


def entries(matrices: Any) -> list[list[Any]]:
    """The nested list of arrays that holds matrices of shape (..., k, k)."""
    size = matrices.shape[-1]
    return [[matrices[..., i, j] for j in range(size)] for i in range(size)]


def lower_of(factor: Factor) -> np.ndarray:
    """L of L D L^T as one array (..., k, k)."""
    size = len(factor.lower)
    shape = np.broadcast_shapes(*(np.shape(item) for item in factor.inverse))
    filled = np.zeros((*shape, size, size))
    for i in range(size):
        filled[..., i, i] = 1.0
        for j in range(i):
            filled[..., i, j] = factor.lower[i][j]
    return filled


@pytest.mark.parametrize("size", SIZES)
def test_factor_is_that_of_numpy(size: int) -> None:
    matrix = definite(size, seed=size)
    factor = factorise(entries(matrix))
    assert bool(factor.ok)
    found = lower_of(factor) / np.sqrt(np.array(factor.inverse))
    np.testing.assert_allclose(found, np.linalg.cholesky(matrix), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_solution_is_that_of_numpy(size: int) -> None:
    matrix = definite(size, seed=10 + size, spread=1e3)
    right = np.random.default_rng(size).standard_normal(size)
    found = np.array(solve(factorise(entries(matrix)), list(right)))
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=0, atol=1e-11)


def test_batches_are_solved_elementwise() -> None:
    matrices = definite(3, seed=0, batch=(4, 5))
    right = np.random.default_rng(1).standard_normal((4, 5, 3))
    factor = factorise(entries(matrices))
    found = np.stack(solve(factor, [right[..., i] for i in range(3)]), axis=-1)
    assert factor.ok.shape == (4, 5)
    assert np.asarray(factor.ok).all()
    expected = np.linalg.solve(matrices, right[..., None])[..., 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_only_the_lower_triangle_is_read() -> None:
    matrix = definite(4, seed=2)
    half = entries(np.where(np.tri(4, dtype=bool), matrix, np.nan))
    found = np.array(solve(factorise(half), [1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(found, np.linalg.solve(matrix, [1, 2, 3, 4]), rtol=0, atol=1e-13)


def test_entries_of_different_shapes_broadcast() -> None:
    # A Gram matrix over a grid: (1, 1), (n, 1), (1, m) and (n, m) entries.
    rng = np.random.default_rng(3)
    first, second = rng.uniform(2, 3, (6, 1)), rng.uniform(2, 3, (1, 7))
    joint = rng.uniform(-1, 1, (6, 7))
    right: list[Any] = [np.float64(1.0), rng.standard_normal((6, 1)), rng.standard_normal((1, 7))]
    matrix: Any = [[np.float64(2.0), 0.0, 0.0], [0.5, first, joint], [0.25, joint, second]]
    factor = factorise(matrix)
    found = solve(factor, right)
    assert factor.ok.shape == (6, 7)
    for i in range(6):
        for j in range(7):
            whole = np.array(
                [
                    [2.0, 0.5, 0.25],
                    [0.5, first[i, 0], joint[i, j]],
                    [0.25, joint[i, j], second[0, j]],
                ]
            )
            expected = np.linalg.solve(whole, [1.0, right[1][i, 0], right[2][0, j]])
            actual = [np.broadcast_to(item, (6, 7))[i, j] for item in found]
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13)


def test_entries_that_do_not_see_an_axis_are_factored_on_their_own_sub_grid() -> None:
    wide, tall = np.full((1, 7), 2.0), np.full((6, 1), 3.0)
    matrix: Any = [[wide, 0.0], [0.0, tall]]
    factor = factorise(matrix)
    assert factor.inverse[0].shape == (1, 7)
    # The only entry that sees both axes is the last.
    assert factor.inverse[1].shape == (6, 7)


def test_empty_system_is_definite_and_has_no_solution() -> None:
    factor = factorise([])
    assert bool(factor.ok)
    assert solve(factor, []) == []


def all_finite(factor: Factor, right: list[float]) -> bool:
    return bool(
        np.isfinite(lower_of(factor)).all() and np.isfinite(np.array(solve(factor, right))).all()
    )


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.0]],
        [[-1.0]],
        [[1.0, 1.0], [1.0, 1.0]],
        [[1.0, 2.0], [2.0, 1.0]],
        [[0.0, 1.0], [1.0, 0.0]],
        [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]],
        [[4.0, 2.0, 6.0], [2.0, 5.0, 7.0], [6.0, 7.0, 13.0]],
        [[1.0, 0.0], [0.0, 0.0]],
    ],
)
def test_matrix_that_is_not_definite_is_rejected_without_nan(matrix: list[list[float]]) -> None:
    assert np.linalg.eigvalsh(matrix)[0] <= 1e-15
    factor = factorise(entries(np.array(matrix)))
    assert not bool(factor.ok)
    assert all_finite(factor, [1.0] * len(matrix))


@pytest.mark.parametrize("size", range(2, 11))
def test_random_indefinite_and_singular_matrices_are_rejected(size: int) -> None:
    matrix = definite(size, seed=20 + size)
    values, vectors = np.linalg.eigh(matrix)
    for least in (-1.0, 0.0):
        values[0] = least
        changed = (vectors * values) @ vectors.T
        factor = factorise(entries(changed))
        assert not bool(factor.ok)
        assert all_finite(factor, [1.0] * size)


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_pivot_tolerance_is_a_share_of_the_diagonal(share: float) -> None:
    # Second pivot: 1 + e - 1 = e.
    near = 1.0 + share * PIVOT_TOLERANCE
    for unit in (1e-8, 1.0, 1e8):
        factor = factorise(entries(unit * np.array([[1.0, 1.0], [1.0, near]])))
        assert bool(factor.ok) is (share > 1)


def test_tolerance_can_be_given() -> None:
    matrix = entries(np.array([[1.0, 0.9], [0.9, 1.0]]))
    assert bool(factorise(matrix, tolerance=0.18).ok)
    assert not bool(factorise(matrix, tolerance=0.20).ok)


def test_rejected_matrix_leaves_its_neighbours_alone() -> None:
    good = definite(3, seed=4)
    batch = np.stack([good, -good, np.zeros((3, 3)), good])
    factor = factorise(entries(batch))
    found = np.stack(solve(factor, [1.0, 2.0, 3.0]), axis=-1)
    assert np.asarray(factor.ok).tolist() == [True, False, False, True]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[3], np.linalg.solve(good, [1, 2, 3]), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found[0], found[3])


def test_matrix_of_nan_is_not_accepted() -> None:
    assert not bool(factorise([[np.float64("nan")]]).ok)


# Dense batches


@pytest.mark.parametrize("size", SOME_SIZES)
def test_dense_solution_is_that_of_numpy(size: int) -> None:
    matrix = definite(size, seed=30 + size, batch=(6,), spread=1e3)
    right = np.random.default_rng(size).standard_normal((6, size))
    found, ok = dense(matrix, right)
    expected = np.linalg.solve(matrix, right[..., None])[..., 0]
    assert np.asarray(ok).tolist() == [True] * 6
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", SOME_SIZES[1:])
def test_dense_solution_is_zero_where_there_is_none(size: int) -> None:
    good = definite(size, seed=40 + size)
    values, vectors = np.linalg.eigh(good)
    singular = (vectors * np.append(0.0, values[1:])) @ vectors.T
    indefinite = (vectors * np.append(-1.0, values[1:])) @ vectors.T
    batch = np.stack([good, singular, indefinite, np.zeros_like(good), good * np.nan, -good])
    found, ok = dense(batch, np.ones((6, size)))
    assert np.asarray(ok).tolist() == [True] + [False] * 5
    expected = np.linalg.solve(good, np.ones(size))
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(found[1:], np.zeros((5, size)))


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_dense_pivot_tolerance_is_a_share_of_the_diagonal(share: float) -> None:
    near = 1.0 + share * PIVOT_TOLERANCE
    for unit in (1e-8, 1.0, 1e8):
        _, ok = dense(unit * np.array([[1.0, 1.0], [1.0, near]]), np.ones(2))
        assert bool(ok) is (share > 1)
