"""Meta-learning of control: tasks that are met by acting, policies that adapt to them, and how these are trained.

A source of control tasks is a plugin (`source.py`). A policy is a learner whose head is the mean of a normal
distribution (`policy.py`), so that masks, freezing and probes speak of its layers as they do of other networks'.
Trajectories are sampled for all tasks of a meta-batch at once (`rollout.py`), become experience with advantages
(`experience.py`), by which the inner loop takes policy-gradient steps (`adaptation.py`) and the outer loop a step
within a trust region (`trust_region.py`), or a few of clipped ratios (`clipped_surrogate.py`).
"""
