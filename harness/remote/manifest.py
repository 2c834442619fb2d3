"""What a run's files at a URL are to be: `mirror.json`, sent after the files and before their status."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import sha256_of
from harness.remote.places import safe_name

FILE = "mirror.json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file: its size and the SHA-256 of its content."""

    n_bytes: int
    sha256: str


def entry_of(path: Path) -> Entry:
    """Of a local file."""
    return Entry(n_bytes=path.stat().st_size, sha256=sha256_of(path))


def written(entries: Mapping[str, Entry]) -> bytes:
    """The content of mirror.json: the same entries give the same bytes."""
    value = {name: {"bytes": e.n_bytes, "sha256": e.sha256} for name, e in sorted(entries.items())}
    return (json.dumps({"files": value}, indent=2) + "\n").encode()


def entries_of(content: bytes | None, url: str) -> dict[str, Entry]:
    """Name -> entry; empty where the content is missing or damaged.

    Raises WorkspaceError for a name that would lead out of the run's folder.
    """
    try:
        value: Any = json.loads(content or b"{}")
        found = {
            str(name): Entry(n_bytes=int(one["bytes"]), sha256=str(one["sha256"]))
            for name, one in value.get("files", {}).items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {safe_name(name, url): entry for name, entry in found.items()}
