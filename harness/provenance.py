"""Which code a run was made with: runs/<run_id>/provenance.json, beside its results and in no run's id.

A list of what the code was, `{"plugins": {"method head_only": SHA-256}, "commit": ..., "dirty": ...}`: first as the
training began, then as it was each time the run was gone on with and the code had changed. `{}` stands for what an
older version of harness made and did not record. commit, dirty: where harness runs from a git checkout.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checkout import checkout
from harness.files import write_json
from harness.plugin_code import plugin_digests
from harness.spec import Launchable
from harness.store import RunFolder, Workspace

TRAINING = ("kind", "trainer", "method", "network", "train")
"""What of a spec says which plugins a training uses; `method` only where there is no `trainer`."""

MOST_NAMED = 3
"""Runs that a sentence names."""

NOT_RECORDED = "not recorded"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What the last `harness run` found and noted in the experiment's record.

    started: when the experiment was begun, as ISO 8601 in UTC; empty where it was not recorded. plugins: as of
    `plugin_code.plugin_digests`.
    """

    started: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)


def launch_of(record: Mapping[str, Any]) -> Launch:
    """What the record of an experiment says of its code; what it lacks or has in another form is not recorded."""
    started, found = record.get("started"), record.get("plugins")
    return Launch(
        started=started if isinstance(started, str) else "",
        plugins=_texts(found) if isinstance(found, dict) else {},
    )


def read_provenance(folder: RunFolder) -> list[dict[str, Any]]:
    """The list in provenance.json; `[]` where there is none or it is damaged."""
    try:
        value = json.loads(folder.provenance.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        return []
    return [{**one, "plugins": _texts(one.get("plugins"))} if one else {} for one in value]


def note_code(spec: Launchable, folder: RunFolder, taken_from: RunFolder | None) -> None:
    """Add the code of this moment to the run's provenance, before it is trained or gone on with.

    taken_from: the run whose training this one has taken over, if it has; then what that was trained with is put
    in the place of what this one had.
    """
    content = spec.to_json()
    if taken_from is not None:
        before = _of_training(read_provenance(taken_from) or [{}], content)
    else:
        before = read_provenance(folder) or ([{}] if folder.checkpoint.exists() else [])
    now = {"plugins": plugin_digests([content]), **checkout()}
    write_json(folder.provenance, _without_repeats([*before, now]))


def _of_training(recorded: list[dict[str, Any]], content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of another run's provenance, what concerns the training that both share."""
    keys = [key for key in TRAINING if key in content and not (key == "method" and "trainer" in content)]
    names = plugin_digests([{key: content[key] for key in keys}])
    return [
        {**one, "plugins": {key: it for key, it in one["plugins"].items() if key in names}} if one else {}
        for one in recorded
    ]


def _without_repeats(recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for place, one in enumerate(recorded) if not place or one != recorded[place - 1]]


def _texts(value: Any) -> dict[str, str]:
    found = value.items() if isinstance(value, dict) else ()
    return {str(key): item for key, item in found if isinstance(item, str)}


def changed_before(runs: Sequence[Launchable], workspace: Workspace, plugins: Mapping[str, str]) -> list[str]:
    """As `changes`, of the runs that are done or begun, whose results and checkpoints a launch now would keep."""
    if not plugins:
        return []
    folders = [workspace.folder(run.run_id) for run in runs]
    begun = [folder for folder in folders if folder.checkpoint.exists() or folder.is_done]
    return changes({folder.path.name: read_provenance(folder) for folder in begun}, plugins)


def changes(recorded: Mapping[str, list[dict[str, Any]]], plugins: Mapping[str, str]) -> list[str]:
    """A sentence for each plugin whose code was not the same throughout, and each way in which it was not.

    recorded: run -> its provenance. plugins: the code that the last launch found.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for run_id in sorted(recorded):
        for plugin in sorted({name for one in recorded[run_id] for name in one.get("plugins", ())}):
            met = [one["plugins"][plugin] for one in recorded[run_id] if plugin in one.get("plugins", ())]
            if {*met, plugins.get(plugin, met[-1])} != {met[0]}:
                groups.setdefault((plugin, tuple(dict.fromkeys(met))), []).append(run_id)
    return [
        _sentence(plugin, met, plugins.get(plugin, met[-1]), run_ids)
        for (plugin, met), run_ids in sorted(groups.items())
    ]


def _sentence(plugin: str, met: tuple[str, ...], now: str, run_ids: Sequence[str]) -> str:
    what = f"the code of {plugin} that {_named(run_ids)} began with ({_short(met[0])})"
    if len(met) > 1:
        text = f"{what} is not the code that {'it' if len(run_ids) == 1 else 'they'} went on with ({_short(met[-1])})"
    else:
        text = f"{what} is not the code that the last `harness run` found ({_short(now)}) and kept the results for"
    return f"{text[0].upper()}{text[1:]}: `--fresh` makes all runs anew."


def _named(run_ids: Sequence[str]) -> str:
    if len(run_ids) == 1:
        return f"the run {run_ids[0]}"
    more = len(run_ids) - MOST_NAMED
    return f"{len(run_ids)} runs ({', '.join(run_ids[:MOST_NAMED])}{f' and {more} more' if more > 0 else ''})"


def _short(digest: str) -> str:
    return digest if len(digest) < 64 else f"sha256 {digest[:12]}"


def provenance_rows(recorded: Iterable[list[dict[str, Any]]], launch: Launch) -> list[tuple[str, str]]:
    """What is shown of the code beside the environment: (what, recorded), several values where runs differ."""
    values: dict[str, set[str]] = {"harness commit": set()}
    for of_run in recorded:
        for one in of_run or [{}]:
            values["harness commit"].add(_commit(one))
            for plugin, digest in one.get("plugins", {}).items():
                values.setdefault(f"code of {plugin}", set()).add(_short(digest))
    rows = [("experiment started", launch.started or NOT_RECORDED)]
    return rows + [(what, " / ".join(sorted(values[what]))) for what in sorted(values, reverse=True)]


def _commit(one: Mapping[str, Any]) -> str:
    if not one:
        return NOT_RECORDED
    if not isinstance(one.get("commit"), str):
        return "none: not from a git checkout"
    return f"{one['commit'][:12]}{', with changes that are not committed' if one.get('dirty') else ''}"
