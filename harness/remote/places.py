"""What a URL is, where its local mirror lies, and which names in it are let in."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import ConfigError, WorkspaceError

MIRRORS = "mirrors"

MARK = "://"
RUNS = "/runs/"


@dataclass(frozen=True)
class Url:
    """A folder of an experiment behind a URL, without a slash at its end. Raises ConfigError for what is none."""

    text: str

    def __post_init__(self) -> None:
        plain = self.text.rstrip("/")
        whole = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+://[^?#]*[^/?#]", plain)
        with_password = re.match(r"[^/]+://[^/@]*:[^/]*@", plain)
        if whole is None or with_password or "::" in plain:
            raise ConfigError(
                f"{self.text!r} is no URL of a folder: write it as in s3://bucket/experiment, without options; "
                "credentials belong in the environment."
            )
        if ".." in plain.partition(MARK)[2].split("/"):
            raise ConfigError(f"{self.text!r} has '..' in it: write the URL without.")
        if self.protocol in ("file", "local") and not plain.partition(MARK)[2].startswith("/"):
            raise ConfigError(
                f"{self.text!r} names no whole path, and workers elsewhere would take it for another folder: write "
                "file:///WHOLE/PATH with three slashes, or a folder without file://."
            )
        object.__setattr__(self, "text", plain)

    def __str__(self) -> str:
        return self.text

    @property
    def protocol(self) -> str:
        """What stands before ://, in small letters."""
        return self.text.partition(MARK)[0].lower()

    @property
    def label(self) -> str:
        """A name for folders: its last part, then a hash of the whole."""
        last = re.sub(r"[^A-Za-z0-9_+.-]", "-", self.text.rpartition("/")[2])
        return f"{last[:60]}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"


Place = Path | Url
"""What a command takes where an experiment's folder is expected."""


def is_url(text: str) -> bool:
    """Whether that is meant as a URL and not as a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def mirror_of(cache: Path, url: str) -> Path:
    """The folder in which this machine works on the experiment at `url`."""
    return cache / MIRRORS / Url(url).label


def safe_key(key: str, url: str) -> str:
    """`key`, a path relative to `url`, as long as it stays within it.

    Raises WorkspaceError for an absolute path and for one with `..` or an empty part: written below the mirror, it
    would land elsewhere.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in key or "\0" in key or ":" in parts[0]:
        raise WorkspaceError(f"{url} holds {key!r}, which is no name of a file below it: remove that there.")
    return key


def safe_name(name: str, url: str) -> str:
    """As `safe_key`, for the name of a file right in a folder."""
    if PurePosixPath(safe_key(name, url)).name != name:
        raise WorkspaceError(f"{url} names {name!r}, which is no name of a file: remove that there.")
    return name
