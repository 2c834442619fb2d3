"""The figures of a report: files in one folder, each with a name of its own, and none of an earlier report."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.files import explained
from harness.report.blocks import Figure

KINDS = ("accuracy", "curves", "reuse", "tasks", "paths", "frames")
"""Figures are called `<kind>-....png`, and `.svg` beside it."""

FORMS = ("png", "svg")
"""What `style.save` writes of each figure."""


@dataclass(frozen=True, kw_only=True)
class Album:
    """Figures below `folder`, which the report calls figures/, as far as they are drawn."""

    folder: Path
    names: list[str] = field(default_factory=list)

    def add(self, kind: str, name: str, caption: str, draw: Callable[[Path], None]) -> Figure:
        """Let `draw` write a figure; a number keeps apart figures whose names make the same file name."""
        stem = f"{kind}-{slug(name)}"
        file, number = f"{stem}.png", 2
        while file in self.names:
            file, number = f"{stem}-{number}.png", number + 1
        self.names.append(file)
        draw(self.folder / file)
        return Figure(path=f"figures/{file}", caption=caption)

    def remove_others(self) -> None:
        """Delete figures of an earlier report: those of KINDS that were not added. Raises WorkspaceError.

        Control experiments once had one figure of a kind, without a name of its own.
        """
        for kind in KINDS:
            patterns = [f"{kind}{rest}.{form}" for form in FORMS for rest in ("", "-*")]
            for path in [path for pattern in patterns for path in self.folder.glob(pattern)]:
                if f"{path.stem}.png" not in self.names:
                    with explained(path):
                        path.unlink(missing_ok=True)


def slug(text: str) -> str:
    """`text` as part of a file name: lower-case letters, digits and hyphens, at most 80."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "unnamed"
