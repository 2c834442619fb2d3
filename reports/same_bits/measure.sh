#!/usr/bin/env bash
# Claim: serial, with two Ray workers, or killed with kill -9 and resumed, an experiment gives the same bits.
# Usage: HARNESS_DATA=FOLDER bash reports/same_bits/measure.sh > reports/same_bits/report.md
set -euo pipefail
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
harness=.venv/bin/harness
settings=(gin/omniglot_quick.gin --set 'Regime.iterations = 150' --set 'Regime.validate_every = 25'
  --set 'Regime.validation_episodes = 20' --set 'Evaluation.n_episodes = 100')

run() { "$harness" run "${settings[@]}" --out "$out/$1" "${@:2}" >"$out/$1.log" 2>&1; }

kill_half_way() { # start a run in a session of its own, and kill all of it at its second checkpoint
  setsid "$harness" run "${settings[@]}" --out "$out/$1" "${@:2}" >"$out/$1.log" 2>&1 &
  local leader=$!
  until [ "$(cat "$out/$1"/runs/*/curve.jsonl 2>/dev/null | wc -l)" -ge 2 ]; do sleep 0.2; done
  kill -9 -- "-$leader"
  wait "$leader" 2>/dev/null || true
}

run serial --backend serial
run ray --workers 2
kill_half_way killed --workers 2
at=$(cat "$out"/killed/runs/*/curve.jsonl | tail -1 | sed 's/.*"iteration": \([0-9]*\).*/\1/')
run killed --workers 2

cat <<'TEXT'
# The same bits, however it is run

Real Omniglot, 5-way 1-shot, MAML, ANIL and NIL, seed 0, cut down to 150 updates and 100 test episodes. The digest is
SHA-256 over the accuracies and losses of all test episodes (float64, in order).

| how | episodes | mean accuracy | SHA-256 |
| --- | ---: | ---: | --- |
TEXT
.venv/bin/python - "$out" "$at" <<'PYTHON'
import hashlib, sys
from pathlib import Path

import pandas as pd

names = {
    "serial": "serial",
    "ray": "Ray, 2 workers",
    "killed": f"Ray, 2 workers, killed with `kill -9` after update {sys.argv[2]} of 150 and resumed",
}
digests = set()
for folder, name in names.items():
    paths = sorted((Path(sys.argv[1]) / folder).glob("runs/*/episodes.parquet"))
    rows = pd.concat([pd.read_parquet(path) for path in paths])
    digest = hashlib.sha256(rows[["accuracy", "loss"]].to_numpy().tobytes()).hexdigest()
    digests.add(digest)
    print(f"| {name} | {len(rows)} | {rows.accuracy.mean():.4f} | `{digest[:32]}` |")
print("\nAll equal." if len(digests) == 1 else "\n**They differ.**")
PYTHON
cat <<'TEXT'

Made by [measure.sh](measure.sh). `tests/test_end_to_end.py` checks the same on every change.
TEXT
