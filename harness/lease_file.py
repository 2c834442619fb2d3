"""A lease as a local file: made by a link, whole at once, which only one process can do."""

import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import explained, make_folder

GRAVE_SECONDS = 60.0
"""After which nobody can still be at it."""


@dataclass(frozen=True)
class LeaseFile:
    """The lease in the file `path`, in a folder of runs, as `lease.LeaseStore` asks."""

    path: Path

    @property
    def place(self) -> str:
        """The experiment's folder."""
        return str(self.path.parent.parent)

    def make(self, owner: str, content: str) -> bool:  # noqa: ARG002
        """Make the lease, whole at once; False where there is one.

        With its folder: another that had begun in vain may just have removed that. Raises WorkspaceError where the
        folder cannot be written.
        """
        aside = self._aside()
        with explained(self.path):
            make_folder(self.path.parent)
            try:
                aside.write_text(content, encoding="utf-8")
            except FileNotFoundError:
                return False
            try:
                os.link(aside, self.path)  # fails where the file is there, as a rename would not
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                return self._made_exclusively(content)
            finally:
                aside.unlink(missing_ok=True)
        return True

    def read(self) -> dict[str, Any] | None:
        """What the lease says, empty where it is damaged; None where there is none."""
        return _read(self.path)

    def renew(self, content: str) -> None:
        """Write it again; where that fails (a full disk), the next beat tries again."""
        aside = self._aside()
        with suppress(OSError):
            aside.write_text(content, encoding="utf-8")
            aside.replace(self.path)

    def bury(self, found: dict[str, Any]) -> None:
        """Remove the lease of a dead owner, and nobody else's.

        Only one process at a time can link the lease to the owner's grave. While it holds that, nobody else removes the
        dead owner's lease, so that no other can be made between its look at the lease and its removal.
        """
        owner = found.get("owner")
        name = hashlib.sha256(str(owner).encode()).hexdigest()[:8]
        grave = self.path.with_name(f"{self.path.name}.{name}.dead")
        try:
            os.link(self.path, grave)
        except FileExistsError:
            self._rob(grave)
            return
        except FileNotFoundError:  # gone since
            return
        except OSError:  # a file system without links
            self._bury_by_renaming(owner)
            return
        with suppress(OSError):
            if (_read(grave) or {}).get("owner") == owner:
                self.path.unlink(missing_ok=True)
        with suppress(OSError):
            grave.unlink(missing_ok=True)

    def _rob(self, grave: Path) -> None:
        """Remove a grave whose digger has died beside it; a living one needs no more than a moment."""
        with suppress(OSError):
            if time.time() - grave.stat().st_ctime > GRAVE_SECONDS:
                grave.unlink(missing_ok=True)

    def _bury_by_renaming(self, owner: object) -> None:
        """As `bury`, but for the moment in which another's lease that was just made is away."""
        grave = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.dead")
        with suppress(OSError):
            self.path.rename(grave)
            renamed = _read(grave)
            if (
                renamed and renamed.get("owner") != owner
            ):  # another was quicker, and this is its own: give it back
                self._made_exclusively(grave.read_text(encoding="utf-8"))
            grave.unlink(missing_ok=True)

    def give_back(self, owner: str) -> None:
        """Remove it if it is the owner's."""
        found = self.read()
        if found is not None and found.get("owner") == owner:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _aside(self) -> Path:
        return self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.partial")

    def _made_exclusively(self, content: str) -> bool:
        try:
            with self.path.open("x", encoding="utf-8") as handle:
                handle.write(content)
        except FileExistsError:
            return False
        return True


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
