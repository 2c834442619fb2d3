"""Probes that come with harness: one a file, registered under `harness.probes`."""
