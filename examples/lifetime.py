# %% [markdown]
# # A model that will serve
# The compute-optimal model is the best one for a training budget. But a model is also used, and
# each token that it reads or writes costs compute in proportion to its size. The more it will
# serve, the smaller it should be, and the longer it should be trained. How much smaller, and what
# does that save, in compute and in dollars?

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf
from scalefit import allocation

# %% [markdown]
# ## A law and a quality
# Here the published surface of Besiroglu et al. 2024; a fit of the additive law to your own runs
# does as well. The quality to reach is that of the compute-optimal model of 1e23 FLOP.

# %%
fit = sf.published("chinchilla", "besiroglu")
params = fit.params
reference = sf.allocate(fit, flops=1e23)
loss = float(reference.loss)
reference

# %% [markdown]
# ## Counted in FLOP
# Training costs 6 N D. Serving T tokens costs 2 N T. The cheapest model of the same loss minimises
#
# $$6\,N D + 2\,N T \quad\text{subject to}\quad L(N, D) = L^*$$
#
# `saved` is the share of the cost of training and serving that it saves against the compute-optimal
# model.

# %%
rows = []
for served in np.geomspace(1e11, 1e15, 5):
    N, D = allocation.lifetime_optimum(params, loss, served)
    cost = allocation.lifetime(served)
    rows.append(
        {
            "tokens served": f"{served:.0e}",
            "N, billions": N / 1e9,
            "D, trillions": D / 1e12,
            "D/N": D / N,
            "saved": f"{1 - cost(N, D) / cost(reference.N, reference.D):.0%}",
        }
    )
pd.DataFrame(rows).round(2)

# %% [markdown]
# The same as a picture. All models on the curve have the same loss. The dashed line is a limit: no
# number of tokens brings a smaller model to it.

# %%
demand = np.geomspace(1e10, 1e16, 61)
sizes = np.array([allocation.lifetime_optimum(params, loss, served)[0] for served in demand])
least = allocation.least_feasible_size(params["alpha"], params["beta"]) * reference.N
_, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.semilogx(demand, sizes / 1e9)
for size, style, words in (
    (reference.N, "-", "compute-optimal for training alone"),
    (least, "--", "smallest size that can reach the loss"),
):
    ax.axhline(size / 1e9, color="grey", linestyle=style, linewidth=0.8)
    ax.text(1e13, size / 1e9 + 0.4, words, ha="center", color="grey", fontsize=9)
_ = ax.set(xlabel="tokens served", ylabel="best N, billions of parameters", ylim=(0, 34))

# %% [markdown]
# ## Counted in dollars
# A token that is *written* uses a small share of what the device can do, and so costs much more
# than one that is read. Training in bf16, serving in fp8 on the same device, 1e10 requests of 500
# tokens in and 250 out, at the prices of Sardana et al. 2024. What decides is the share of the peak
# at which tokens are written. The last column is the bill of the compute-optimal model.

# %%
rows = []
for decode in (0.01, 0.1, 0.5):
    use = allocation.Utilisation(train=0.4, prefill=0.4, decode=decode)
    served = {"input_tokens": 500, "output_tokens": 250, "requests": 1e10, "utilisation": use}
    bill = allocation.lifetime_usd(**served)
    tokens = allocation.effective_inference_tokens(**served)
    N, D = allocation.lifetime_optimum(params, loss, tokens)
    rows.append(
        {
            "written at": f"{decode:.0%} of the peak",
            "N, billions": N / 1e9,
            "D, trillions": D / 1e12,
            "D/N": D / N,
            "bill, million USD": bill(N, D) / 1e6,
            "if compute-optimal": bill(reference.N, reference.D) / 1e6,
        }
    )
pd.DataFrame(rows).round(2)

# %% [markdown]
# ## The price in training
# A smaller model of the same loss takes more training compute. The factor depends on the exponents
# alone, whatever the budget is.

# %%
share = np.array([0.75, 0.5, 0.3])
more = allocation.overhead(share, params["alpha"], params["beta"])
pd.DataFrame({"share of the optimal size": share, "more training compute": more}).round(3)

# %% [markdown]
# ## Read backwards
# At the optimum the demand can be read off a model: for how many served tokens is an observed model
# the right one? For 8e9 parameters on 1.5e13 tokens, as Llama 3 8B:

# %%
tokens = allocation.implied_inference_tokens(params, N=8e9, D=15e12)
print(f"8e9 parameters on 1.5e13 tokens were best for serving {tokens:.2g} tokens")

# %% [markdown]
# ## With a budget in dollars
# Any cost takes the place of FLOP in `allocate`. Ten million dollars, for training and 1e10
# requests:

# %%
bill = allocation.lifetime_usd(500, 250, requests=1e10)
sf.allocate(fit, usd=1e7, cost=bill)

# %% [markdown]
# ## What this does not say
# - The surface is that of Chinchilla's runs: at most 16 billion parameters and 318 billion tokens.
#   Nearly every model here lies outside, where [no interval holds a wrong
#   law](../what_an_answer_does_not_say.md).
# - All models but the last have one loss. Whether a better one would be used more is another
#   question.
# - Prices, utilisations and the demand are yours to know. [The key-value
#   cache](../costs.md#training-and-serving) is in none of these counts; `kinetics` adds it.
#
# Read on: [costs](../costs.md), [allocation](../allocation.md), [bits chosen along](precision.md).
