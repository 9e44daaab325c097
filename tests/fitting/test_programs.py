"""Programs are compiled once, kept on disk for the next process, and never in a fit's way."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting import grid, programs
from scalefit.fitting.problem import Problem
from scalefit.fitting.store import VARIABLE, Store

# A fit in a process of its own, which says what JAX compiled and what was found.
CHILD = """
import json, sys, warnings
warnings.simplefilter("error")
import jax
compilations = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: compilations.append(name) if "compile/" in name else None
)
{setup}
before = dict(jax.config.values)
import scalefit as sf
runs = sf.simulate(sf.isoflop_design(), noise=0.005, seed=1)
fit = sf.fit(runs, {law})
assert dict(jax.config.values) == before, "configuration"
names = [name.rsplit("/", 1)[1] for name in compilations]
print(json.dumps({{"params": dict(fit.params), "compiled": names.count("backend_compile_duration"),
                  "traced": names.count("jaxpr_trace_duration")}}))
"""

LAW = '''
import scalefit as sf
@sf.law(source="a test")
def mine(N, D, *, E: sf.Offset, A: sf.Amplitude, g: sf.Exponent):
    """E + A (N D)^-g"""
    return E + A * (N * D) ** -g + {term}
'''


def child(cache, setup="", law="'chinchilla'", **environment):
    """What a fresh process found, with the cache variable set to ``cache`` (None: not set)."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != VARIABLE and "COMPILATION_CACHE" not in name
    }
    if cache is not None:
        inherited[VARIABLE] = str(cache)
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(setup=setup, law=law)],
        capture_output=True,
        text=True,
        timeout=200,
        env={**inherited, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def entries(folder):
    return sorted(path.name for path in Path(folder).glob("*.program"))


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A folder that one process has filled, and what that process said."""
    folder = tmp_path_factory.mktemp("warm") / "made" / "by" / "scalefit"
    return folder, child(folder)


@pytest.fixture
def copied(warm, tmp_path):
    """A folder of one's own, filled likewise, and what the filling process said."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for name in entries(warm[0]):
        (folder / name).write_bytes((warm[0] / name).read_bytes())
    return folder, warm[1]


def test_a_second_process_compiles_nothing_and_finds_the_same(warm):
    folder, first = warm
    assert first["compiled"] >= 3
    assert len(entries(folder)) == 3
    second = child(folder)
    assert second["compiled"] == second["traced"] == 0
    assert second["params"] == first["params"]
    assert len(entries(folder)) == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps user folders apart by itself")
def test_the_folder_is_private(warm):
    assert warm[0].stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_cache_can_be_switched_off(warm, tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    found = child("off", **home)
    assert found["params"] == warm[1]["params"]
    assert found["compiled"] >= 3
    assert list(tmp_path.rglob("*.program")) == []


def test_the_default_folder_is_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    store = Store.of_user()
    assert store.folder.is_relative_to(tmp_path)
    assert "scalefit" in store.folder.parts


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "whole but nonsense"])
def test_a_damaged_entry_is_compiled_anew_and_replaced(copied, damage):
    folder, first = copied
    store = Store(folder)
    sound = {name: (folder / name).read_bytes() for name in entries(folder)}
    for name, content in sound.items():
        if damage == "whole but nonsense":
            store.put(name.removesuffix(".program"), b"not an executable")
        else:
            flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
            broken = {"cut": content[:-100], "flipped": flipped, "empty": b""}
            (folder / name).write_bytes(broken[damage])
    found = child(folder)
    assert found["params"] == first["params"]
    assert found["compiled"] >= 3
    assert all(store.get(name.removesuffix(".program")) is not None for name in entries(folder))
    assert child(folder)["compiled"] == 0


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_no_folder(tmp_path, warm):
    (tmp_path / "file").write_text("")
    assert child(tmp_path / "file" / "inside")["params"] == warm[1]["params"]


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "getuid"), reason="modes")
def test_a_folder_others_may_write_to_is_left_aside(copied, monkeypatch):
    folder, _ = copied
    monkeypatch.setenv(VARIABLE, str(folder))
    assert Store.of_user() is not None
    folder.chmod(0o777)
    assert Store.of_user() is None


def test_a_store_that_cannot_be_written_or_read_is_silent(tmp_path):
    store = Store(tmp_path / "absent")
    store.put("key", b"value")
    store.drop("key")
    assert store.get("key") is None


def test_a_read_only_folder_serves_what_it_has(copied, monkeypatch):
    folder, _ = copied
    name = entries(folder)[0].removesuffix(".program")

    def refuse(*args, **kwargs):
        raise PermissionError("read-only")

    for what in ("utime", "replace", "unlink"):
        monkeypatch.setattr(os, what, refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    store = Store(folder)
    assert store.get(name)
    store.put("another", b"value")
    assert store.get("another") is None


def test_what_was_unused_for_longest_goes_first(tmp_path):
    store = Store(tmp_path, most_bytes=2500)
    values = {key: np.random.default_rng(i).bytes(1000) for i, key in enumerate("abc")}
    for i, key in enumerate("ab"):
        store.put(key, values[key])
        os.utime(tmp_path / f"{key}.program", (i, i))
    assert store.get("a") == values["a"]  # and so b is the one unused for longest
    store.put("c", values["c"])
    assert entries(tmp_path) == ["a.program", "c.program"]


def test_writers_in_many_threads_leave_a_whole_entry(tmp_path):
    store = Store(tmp_path)
    values = [bytes([i]) * 100_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda value: store.put("key", value), values))
    assert store.get("key") in values
    assert [path.name for path in tmp_path.iterdir()] == ["key.program"]


@pytest.mark.slow
def test_two_processes_at_once_fill_one_folder(tmp_path, warm):
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(child, [tmp_path / "shared"] * 2))
    assert [item["params"] for item in found] == [warm[1]["params"]] * 2
    assert child(tmp_path / "shared")["compiled"] == 0


@pytest.mark.slow
def test_a_cache_of_the_users_own_is_used_and_ours_is_not(tmp_path, warm):
    setup = f"""
jax.config.update("jax_compilation_cache_dir", {str(tmp_path / "theirs")!r})
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
"""
    found = child(tmp_path / "ours", setup)
    assert found["params"] == warm[1]["params"]
    assert not (tmp_path / "ours").exists()
    assert list((tmp_path / "theirs").iterdir())


@pytest.mark.slow
def test_a_wish_for_no_cache_is_respected(tmp_path):
    child(tmp_path / "ours", JAX_ENABLE_COMPILATION_CACHE="false")
    assert not (tmp_path / "ours").exists()


def test_the_users_own_programs_stay_out_of_our_folder(copied):
    folder, _ = copied
    before = entries(folder)
    setup = """
import threading, jax.numpy as jnp
def work():
    for i in range(20):
        jax.jit(lambda x: x * i + 1)(jnp.ones(i + 1))
worker = threading.Thread(target=work)
worker.start()
import atexit
atexit.register(worker.join)
"""
    child(folder, setup)
    assert entries(folder) == before


@pytest.mark.parametrize("x64", [False, True])
def test_double_precision_is_neither_needed_nor_left_on(copied, x64):
    folder, first = copied
    found = child(folder, f"jax.config.update('jax_enable_x64', {x64})")
    assert found["params"] == first["params"]


@pytest.mark.slow
def test_a_law_of_the_users_own_is_kept_by_what_it_computes(tmp_path):
    first = child(tmp_path, LAW.format(term="0.0"), "mine")
    again = child(tmp_path, LAW.format(term="0.0"), "mine")
    assert first["compiled"] >= 3
    assert again["params"] == first["params"]
    # Detection of its structure and nothing else: three programs come from disk.
    assert again["compiled"] == first["compiled"] - 3
    other = child(tmp_path, LAW.format(term="0.25"), "mine")
    assert other["compiled"] == first["compiled"]
    assert other["params"]["E"] == pytest.approx(first["params"]["E"] - 0.25, rel=1e-9)


def test_a_law_that_calls_back_into_python_is_not_kept(tmp_path, monkeypatch):
    def slow(N):
        return np.asarray(N) ** 0.5

    @sf.law(source="a test")
    def calling(N, *, E: sf.Offset, A: sf.Amplitude):
        kind = jax.ShapeDtypeStruct(jnp.shape(N), jnp.float64)
        return E + A / jax.pure_callback(slow, kind, N, vmap_method="sequential")

    monkeypatch.setenv(VARIABLE, str(tmp_path))
    problem = Problem(
        calling,
        None,
        (("E",), ("A",)),
        (),
        (),
        (("none",) * 2,) * 2,
        (),
        (1, 1),
        ((), ()),
        (None, None),
    )
    program = programs.compiled(grid.Ranking)(
        lambda problem, N: grid.Ranking(problem.law(N, E=1.0, A=2.0), N, N)
    )
    found = program(problem, np.array([4.0, 16.0]))
    assert np.asarray(found.tiles).tolist() == [2.0, 1.5]
    assert entries(tmp_path) == []


@pytest.fixture
def counted():
    """A program that counts how often it is traced, and a problem to trace it for."""
    traced = []

    def triple(problem, values):
        traced.append(threading.current_thread().name)
        if problem.law == "bad":
            raise ValueError("cannot be traced")
        return grid.Ranking(3 * values, values, values)

    return programs.compiled(grid.Ranking)(triple), traced


def posed(law=None):
    return Problem(law or sf.laws.find("chinchilla"), None, (), (), (), (), (), (), (), ())


def test_one_executable_for_each_problem_and_shape(counted):
    program, traced = counted
    for _ in range(3):
        for size in (2, 5):
            assert program(posed(), np.ones(size)).tiles.tolist() == [3.0] * size
    assert len(traced) == len(program) == 2


def test_threads_wait_for_one_compilation(counted):
    program, traced = counted
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: program(posed(), np.full(4, i)).tiles[0], range(40)))
    assert [float(item) for item in found] == [3 * i for i in range(40)]
    assert len(traced) == 1


def test_what_was_begun_is_not_made_twice(counted):
    program, traced = counted
    program.begin(posed(), np.zeros(3))
    assert program(posed(), np.ones(3)).tiles.dtype == np.float64
    assert len(traced) == 1


def test_scopes_of_the_caller_do_not_enter_an_executable(counted):
    program, _ = counted
    with jax.disable_jit(), jax.default_matmul_precision("bfloat16"):
        inside = program(posed(), np.full(3, 0.1))
    assert inside.tiles.dtype == np.float64
    assert len(program) == 1


def test_an_error_reaches_the_caller_and_is_not_kept(counted):
    program, traced = counted
    bad = posed("bad")
    for attempt in (1, 2):
        with pytest.raises(ValueError, match="cannot be traced"):
            program(bad, np.ones(3))
        assert len(traced) == attempt
    assert len(program) == 0


def test_executables_are_held_up_to_a_number_and_made_again_after(counted, monkeypatch):
    """Each takes memory maps, of which a process has a fixed number."""
    monkeypatch.setattr(programs, "MOST_HELD", 3)
    program, traced = counted
    for size in range(1, 8):
        assert program(posed(), np.ones(size)).tiles.tolist() == [3.0] * size
    assert len(program._held) == 3
    assert program(posed(), np.ones(7)).tiles.size == 7
    assert len(traced) == 7
    assert program(posed(), np.ones(1)).tiles.size == 1
    assert len(traced) == len(program) == 8
