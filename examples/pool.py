# %% [markdown]
# # Laws and objectives, each a task of a pool of processes
# Many tables of one law are one batch: no pool is needed for them. A pool is for tasks that differ.

# %%
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import scalefit as sf

LAWS = ["chinchilla", "chinchilla_n"]
OBJECTIVES = {"log, Huber": {}, "log, squares": {"robust": "none"}}

runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.005, seed=1)


def work(task):
    """The fit of a law by an objective, and the interval of its floor."""
    law, objective = task
    fit = sf.fit(runs, law, **OBJECTIVES[objective])
    draws = sf.bootstrap(fit, runs, 500, progress=False)
    return fit, draws.conf_int().loc["E", ["low", "high"]]


# %% [markdown]
# Workers start afresh, and import this file: what starts them is kept from them. Each has a core,
# and one thread on it.

# %%
if __name__ == "__main__":
    os.environ |= {"SCALEFIT_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PJRT_NPROC": "1"}
    tasks = list(product(LAWS, OBJECTIVES))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(work, tasks))
    for (law, objective), (fit, interval) in zip(tasks, found, strict=True):
        low, high = interval
        print(f"{law:13} {objective:13} E = {fit.params['E']:.3f} ({low:.3f} to {high:.3f})")
    # %% [markdown]
    # The numbers are those of this process, to the last digit.
    fit, _ = work(tasks[0])
    assert fit == found[0][0] and fit.law is sf.laws.chinchilla
    print(f"{len(tasks)} tasks by two processes, as by one")
