"""Runs shown where people already look: TensorBoard, MLflow, Weights & Biases.

A tracker reads the files of the runs and writes what they say in its own form, in threads of the process that launches
the runs. It is no part of a run: no run's id depends on it, and a tracker that fails stops itself only.
"""
