"""The schema of everything that is measured. One row an episode; everything that changes a number is in the row."""

EPISODE_COLUMNS: dict[str, str] = {
    "run_id": "string",
    "method": "string",  # the method's name in this experiment
    "trained_on": "string",  # the regime's name
    "network": "string",
    "source": "string",  # what the episode was drawn from
    "split": "string",
    "seed": "int64",
    "episode": "int64",  # k: the same k is the same episode for every method of the same seed
    "n_way": "int64",
    "n_support": "int64",  # support images of the whole episode; shots = n_support / n_way
    "n_query": "int64",  # query images of the whole episode
    "accuracy": "float64",  # share of query images classified correctly, 0..1
    "loss": "float64",  # mean cross-entropy over query images
    "batch_norm": "string",
    "selection": "string",  # which checkpoint counts
    "adaptation_steps": "int64",
    "image_size": "int64",
    "precision": "string",  # of convolutions
    "protocol": "string",  # how episodes are drawn: `fixed`, `meta_dataset`, ...
    "protocol_version": "int64",
    "fingerprint": "string",  # of the source's content and parameters, see row_columns.content_digest
    "max_images_per_class": "Int64",  # empty for no limit
    "seconds": "float64",  # adaptation and prediction, wall clock
}

OF_EPISODES, OF_TRAINING = "episodes", "training"
"""In place of a measure, with a reason: no test episode has a distance; a training source has no tasks to compare."""

DISTANCE_COLUMNS: dict[str, str] = {
    "trained_on": "string",
    "probe": "string",  # the run whose trained body is the probe network
    "source": "string",
    "split": "string",
    "measure": "string",  # `task2vec`, `frechet`, ... (see harness.distances); empty where nothing was measured
    "task": "Int64",  # of those drawn to measure the source; empty for the source as a whole
    "episode": "Int64",  # of the tests of the probe's seed; empty for the source as a whole and its tasks
    "value": "float64",
    "images": "int64",
    "reason": "string",  # why a value is missing
    "protocol_version": "int64",
    "image_size": "int64",
}

ACROSS_COLUMNS: dict[str, str] = {
    "trained_on": "string",
    "source": "string",
    "split": "string",
    "layer": "string",
    "method_a": "string",  # which trained the first of the two networks
    "seed_a": "int64",
    "updates_a": "Int64",  # of a snapshot; empty for the network that was tested
    "method_b": "string",
    "seed_b": "int64",
    "adapted": "boolean",  # whether the second is the first after adapting all layers to test episodes
    "quantity": "string",  # `cka`, `svcca` or `mean_cca`
    "value": "float64",
    "images": "int64",
    "reason": "string",  # why a value is missing
    "protocol_version": "int64",
    "image_size": "int64",
    "batch_norm": "string",
}

LEADERBOARD_KEYS = ("method", "trained_on", "source", "split", "n_way", "shots")
"""What makes a leaderboard row; the conditions below must agree within one. `n_way` and `shots` are empty where
the protocol varies them from episode to episode."""

CONDITIONS = (
    "batch_norm",
    "selection",
    "adaptation_steps",
    "image_size",
    "precision",
    "protocol",
    "protocol_version",
    "fingerprint",
    "max_images_per_class",
)

PROBE_COLUMNS: dict[str, str] = {
    "run_id": "string",
    "method": "string",
    "trained_on": "string",
    "network": "string",
    "source": "string",
    "split": "string",
    "seed": "int64",
    "probe": "string",  # the probe's name in this experiment
    "episode": "Int64",  # as in EPISODE_COLUMNS; empty for a number over all the probe's episodes
    "condition": "string",  # which variant, such as the layers that adapt: `head only`, `from conv3`, ...
    "layer": "string",  # empty where the number is of no layer
    "step": "Int64",  # of the inner loop, from 1; empty where the number is of none
    "quantity": "string",  # what was measured; the probe's docstring defines it
    "value": "float64",
    "n": "int64",  # images behind the value
    "n_way": "Int64",  # these three are empty where several episodes of varying size are behind the value
    "n_support": "Int64",
    "n_query": "Int64",
    "reason": "string",  # why the value is NaN; empty for a number
    **{column: EPISODE_COLUMNS[column] for column in CONDITIONS},
}
"""One row a number of a probe; one a source, with the reason, of a probe that the method does not allow."""

LEADERBOARD_COLUMNS = (
    *LEADERBOARD_KEYS,
    "accuracy",
    "ci95",
    "n_episodes",
    "n_seeds",
    *CONDITIONS,
)

CURVE_KEYS = ("iteration", "loss", "valid_accuracy", "seconds")
"""Keys of a line of curve.jsonl: mean outer loss since the last line, accuracy on the fixed validation episodes
(null where it was not measured), training seconds so far."""

STATES = ("training", "evaluating", "probing", "done", "failed", "interrupted")
"""`state` of status.json; a failed run also has `error` and `traceback`."""
