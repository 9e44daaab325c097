# %% [markdown]
# # A model's whole life
# Training costs 6ND, every token served 2N. How much smaller should a model be, and how much longer
# trained, when it will serve a lot? Here on the published surface of Besiroglu et al. 2024; any fit
# of the additive law will do.

# %%
import numpy as np
import pandas as pd

import scalefit as sf
from scalefit import allocation

fit = sf.published("chinchilla", "besiroglu")
params = fit.params

# %% [markdown]
# The quality to reach is that of a compute-optimal model of 1e23 FLOP.

# %%
budget = 1e23
reference = sf.allocate(fit, flops=budget)
loss = float(reference.loss)
print(f"compute-optimal: {reference.N:.3g} parameters, {reference.D:.3g} tokens, loss {loss:.4f}")

# %% [markdown]
# The cheapest model of that quality, by how many tokens it will serve. The last column is what it
# saves on the compute-optimal model over the same life.

# %%
rows = []
for tokens in np.geomspace(1e11, 1e15, 5):
    N, D = allocation.lifetime_optimum(params, loss, tokens)
    cost = allocation.lifetime(tokens)
    saved = 1 - cost(N, D) / cost(reference.N, reference.D)
    rows.append((tokens, N, D, D / N, saved))
    # At the optimum the marginal worths of N and D differ by the demand.
    assert abs(allocation.wedge(params, N, D) / (1 + tokens / (3 * D)) - 1) < 1e-12
columns = ["served", "N", "D", "D/N", "saved"]
print(pd.DataFrame(rows, columns=columns).to_string(index=False, float_format="{:.3g}".format))

# %% [markdown]
# In dollars: 1e10 requests of 500 tokens in and 250 out, trained in bf16 and served in fp8. Written
# tokens use a small share of the peak, and dominate the cost.

# %%
for decode in (0.01, 0.1, 0.5):
    use = allocation.Utilisation(train=0.4, prefill=0.4, decode=decode)
    served = {"input_tokens": 500, "output_tokens": 250, "requests": 1e10, "utilisation": use}
    bill = allocation.lifetime_usd(**served)
    tokens = allocation.effective_inference_tokens(**served)
    N, D = allocation.lifetime_optimum(params, loss, tokens)
    print(
        f"decode at {decode:4.0%} of the peak: {N:.3g} parameters on {D:.3g} tokens, "
        f"${bill(N, D) / 1e6:.2f}M in place of ${bill(reference.N, reference.D) / 1e6:.2f}M"
    )

# %% [markdown]
# The price of a smaller model in training alone, and the demand that an observed model implies.

# %%
for share in (0.75, 0.5, 0.3):
    more = allocation.overhead(share, params["alpha"], params["beta"])
    print(f"{share:.2f} of the optimal size: {more:.0%} more training compute for the same loss")
demand = allocation.implied_inference_tokens(params, N=8e9, D=15e12)
print(f"8e9 parameters on 1.5e13 tokens were best for serving {demand:.2g} tokens")
