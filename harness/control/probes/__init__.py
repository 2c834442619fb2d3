"""Measurements on trained policies beyond returns, one a file; what a probe is, `harness.control.policy_probe` says."""
