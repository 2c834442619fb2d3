"""A lease where files can be neither linked nor made exclusively: write one's name, wait, look whose name is there.

Of several that find no lease, or a dead one, each writes its own name over it; after SETTLE_SECONDS, longer than a
write may take to be seen, each looks again, and only who finds its own name has the lease. This holds where a read
after a write gives what was written (S3, Google Cloud Storage and Azure do) and writes take less than SETTLE_SECONDS.
A write that takes longer can let two in; then the one whose name was overwritten finds that at its next beat and
stops, so that two work at the same time for no longer than a beat and a write. That costs time and no result: both
compute the same, and files are put whole.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from harness.errors import HarnessError
from harness.remote.objects import Objects

SETTLE_SECONDS = 5.0


@dataclass(kw_only=True)
class LeaseObject:
    """The lease `key` at `url`, as `lease.LeaseStore` asks."""

    url: str
    key: str
    _dead: set[Any] = field(default_factory=set)

    @property
    def place(self) -> str:
        """The experiment's URL."""
        return self.url

    def make(self, owner: str, content: str) -> bool:
        """Write `content` where there is no lease or a buried one; whether it is still there after a while.

        Raises WorkspaceError where the URL cannot be read or written.
        """
        objects = Objects(url=self.url)
        found = _parsed(objects.read(self.key))
        if found is not None and found.get("owner") not in self._dead:
            return False
        objects.write(self.key, content.encode())
        try:
            time.sleep(SETTLE_SECONDS)
            left = _parsed(objects.read(self.key))
        except BaseException:
            self.give_back(owner)  # else the next command would wait for it to stand still
            raise
        return left is not None and left.get("owner") == owner

    def read(self) -> dict[str, Any] | None:
        """What the lease says, empty where it is damaged or cannot be read just now; None where there is none."""
        try:
            return _parsed(Objects(url=self.url, tries=1).read(self.key))
        except HarnessError:
            return {}

    def renew(self, content: str) -> None:
        """Write it again; where that fails, the next beat tries again."""
        try:
            Objects(url=self.url, tries=1).write(self.key, content.encode())
        except HarnessError:
            return

    def bury(self, found: dict[str, Any]) -> None:
        """The owner of `found` is dead: `make` may write over it. To remove it might remove another's."""
        self._dead.add(found.get("owner"))

    def give_back(self, owner: str) -> None:
        """Remove it if it is the owner's; one that stays for want of a connection ends by standing still."""
        found = self.read()
        if found and found.get("owner") == owner:
            try:
                Objects(url=self.url, tries=1).delete([self.key])
            except HarnessError:
                return


def _parsed(content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
