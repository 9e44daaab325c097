# %% [markdown]
# # How many bits?
# A multiplication in 4 bits costs a quarter of one in 16, so that the same money trains a larger
# model on more text. But a model of 4 bits is worth fewer parameters than it has. Where is the
# balance? The runs are public: QuEST (Panferov et al. 2025), trained with weights and activations
# in 2 to 16 bits.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf

# %% [markdown]
# ## The runs
# They are read from the folder that `SCALEFIT_DATA` names, or downloaded once. Kept are those whose
# weights and activations have the same bits, by one kind of quantizer or none. `P` in the law is
# the column `w_bits`.

# %%
rules = [
    "w_bits == a_bits and w_bits > 1",
    "contains(w_quant, 'HadamardTrust') or w_quant == 'NoQuantizer'",
]
try:
    runs = sf.datasets.load("quest", P="w_bits", keep=rules)
except sf.errors.DataError as error:
    raise SystemExit(f"This notebook needs the runs of QuEST. {error}") from None
runs

# %%
runs.to_frame().groupby("P")["N"].agg(["size", "min", "max"])

# %% [markdown]
# ## The law
# Kumar et al. 2024 found that bits act on the size alone: a model of N parameters in P bits is
# worth $N_\text{eff}$ of them,
#
# $$L = E + A\,N_\text{eff}^{-\alpha} + B\,D^{-\beta}, \qquad
# N_\text{eff} = N\left(1 - e^{\,n - P/\gamma}\right)$$

# %%
fit = sf.fit(runs, "low_precision", robust="none")
fit

# %% [markdown]
# Seven parameters describe 48 runs to 0.4 %. The warning is worth reading: some combination of the
# parameters is hardly constrained. Which ones? Resampled runs tell.

# %%
draws = sf.bootstrap(fit, runs, n_draws=300, progress=False)
draws

# %% [markdown]
# The numbers of the bits, gamma and n, are known to some percent. E, B and beta are not, because
# all runs were trained on 24 to 101 tokens for each parameter: a table that varies D/N so little
# cannot tell how a loss splits between size and text. So this fit can be asked about bits, and not
# about the best D/N.

# %% [markdown]
# ## What a model of P bits is worth
# The curve is the law. The points assume no form: each number of bits has its own A, and
# $(A_{16}/A_P)^{1/\alpha}$ is its worth, with the exponent of the law.


# %%
def worth(P, gamma, n):
    """Share of the parameters that is left at P bits."""
    return np.maximum(1 - np.exp(n - P / gamma), 0.0)


known = {name: fit.params[name] for name in ("E", "alpha")}
free = sf.fit(runs, groups={"A": "a_bits"}, robust="none", fixed=known)
levels = [2, 3, 4, 8, 16]
ratios = [free.params["A[16]"] / free.params[f"A[{bits}]"] for bits in levels]
points = np.array(ratios) ** (1 / known["alpha"])

bits = np.linspace(1.5, 16, 400)
these = worth(bits, fit.params["gamma"], fit.params["n"])
kumar = sf.published("precision", "kumar").params
theirs = np.prod([worth(bits, kumar[f"gamma_{x}"], kumar[f"n_{x}"]) for x in ("w", "a", "kv")], 0)

_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(bits, these, label="the law")
left.plot(levels, points, "o", label="each number of bits by itself")
left.set(xlabel="bits P", ylabel="worth of a parameter", ylim=(0, 1.1))
left.legend(loc="lower right")
right.plot(bits, 16 * these / bits, label="these runs")
right.plot(bits, 16 * theirs / bits, "--", label="Kumar et al. 2024")
right.set(xlabel="bits P", ylabel="worth for its price, 1 at 16 bits", ylim=(0, None))
_ = right.legend(loc="lower right")

# %% [markdown]
# At 8 bits, with three runs, the law is a little low. On the right is the worth for the price: a
# budget of 6 N D P / 16 buys 16 / P times as many parameters. The maximum is the best number of
# bits, whatever the budget, A or the exponents are. For these runs it is near 4. With the constants
# that Kumar et al. published (dashed) it is 7: their quantizer is another. The best number of bits
# is a property of a quantizer, and no law of nature.

# %% [markdown]
# ## Bits chosen along with N and D
# `allocate` takes bits as one more free column, under the cost `precision`, 6 N D P / 16.

# %%
sf.allocate(draws, flops=1e20, cost="precision", free={"P": (2, 16)})

# %% [markdown]
# The interval of P* is narrow. N* and D* are what this table cannot tell: a fifth of a token for
# each parameter, two decades outside the runs, as the warning says. Within the ratios that were
# trained the question has an answer:

# %%
trained = {"D/N": (25, 100)}
best = sf.allocate(draws, [1e19, 1e20], cost="precision", free={"P": (2, 16)}, limits=trained)
print(f"P* at 1e20 FLOP: {best['P'][1]:.1f} bits")
best

# %% [markdown]
# Now D/N is at its limit, and what a cheaper bit saves has to buy text along with size. It buys
# less, and somewhat more bits are best. Hardware has the formats that it has: what would each reach
# for 1e20 FLOP?

# %%
rows = []
for bits in levels:
    one = sf.allocate(fit, 1e20, cost="precision", fixed={"P": bits}, limits=trained)
    rows.append({"bits": bits, "N, billions": one.N / 1e9, "D, billions": one.D / 1e9})
    rows[-1]["loss"] = float(one.loss)
pd.DataFrame(rows).round(3)

# %% [markdown]
# ## What this does not say
# - The cost assumes that P bits cost P / 16 of the time of 16. Your device decides: [any function
#   is a cost](../costs.md).
# - The budget is that of training. Served in fewer bits than trained, a model loses more the longer
#   it was trained ([`ptq_excess`, `unified_precision`](../laws.md#low-precision)); served in these
#   bits, it costs less ([a model that will serve](lifetime.md)).
# - All runs have at most 0.8 billion parameters. Beyond them the worth of a bit is an
#   extrapolation.
#
# Read on: [laws with bits](../which_law.md#several-formats-bits-quantisation), [formats as
# groups](../groups.md), [allocation](../allocation.md).
