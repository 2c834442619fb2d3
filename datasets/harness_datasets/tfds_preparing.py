"""Preparing a data set with tensorflow-datasets (TFDS): what its own `download_and_prepare` does, with clear words."""

import json
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from harness.errors import (
    ConfigError,
    DataError,
    MissingDataError,
    WorkspaceError,
    did_you_mean,
    named_choices,
)
from harness_datasets.tensorflow_loading import load_tensorflow
from harness_datasets.tfds_prepared import ARRAY_RECORD, FORMATS, TFRECORD

FOLDER = "tfds"
REFUSALS = ("NonMatchingChecksumError", "ExtractError", "UnsafeArchiveError")
"""Names of what TFDS raises for an archive, of classes that it does not export."""


class FetchedByTfds:
    """A source that tensorflow-datasets can fetch and prepare: `harness data prepare SOURCE --download`.

    tfds_builder: the builder of its catalogue, as in "cifar10". by_hand: archives that the user alone can fetch
    and names as `--manual-dir`; "" where TFDS fetches all.
    """

    tfds_builder: ClassVar[str]
    by_hand: ClassVar[str] = ""

    def download(self, data_dir: Path, manual_dir: Path | None) -> Path:
        """Fetch and prepare it in `<data_dir>/tfds`; returns the folder of the version. See `prepare_tfds`."""
        return prepare_tfds(self.tfds_builder, data_dir, manual_dir)


def prepare_tfds(
    builder: str, data_dir: Path, manual_dir: Path | None = None, *, file_format: str | None = None
) -> Path:
    """Prepare a data set of the catalogue in `<data_dir>/tfds`, unless it is there; returns the folder of its version.

    builder: `name` or `name/config`. manual_dir: a folder with archives that the user has already, under the names
    they are published with; TFDS compares their checksums and downloads what is not there. file_format: "tfrecord"
    or "array_record", which is read faster and taken where its package is there.
    Raises ConfigError for a builder that is not in the catalogue, MissingDataError where an archive is needed that
    is neither there nor to be fetched, DataError for an archive with another checksum, and WorkspaceError where the
    folder cannot be written.
    """
    if manual_dir is not None and not manual_dir.is_dir():
        raise MissingDataError(
            f"The folder {manual_dir} of archives for the TFDS data set {builder!r} is not there. Name the folder that "
            "has them."
        )
    if file_format is not None and file_format not in FORMATS:
        raise ConfigError(
            f"A TFDS data set is prepared as one of {named_choices(FORMATS)}; got {file_format!r}."
        )
    load_tensorflow()
    import tensorflow_datasets as tfds

    made = _builder(tfds, builder, data_dir / FOLDER, file_format or _format())
    if not made.is_prepared():
        _check_reachable(made, data_dir / FOLDER / "downloads", manual_dir, builder)
        _prepare(tfds, made, manual_dir, builder)
    return Path(str(made.data_path))


def _builder(tfds: Any, builder: str, folder: Path, file_format: str) -> Any:
    """TFDS's own builder. Raises ConfigError for a name or configuration that it does not know."""
    name, _, config = builder.partition("/")
    known = tfds.list_builders(with_community_datasets=False)
    if name not in known:
        raise ConfigError(
            f"The catalogue of tensorflow-datasets {tfds.__version__} has no data set {name!r}."
            f"{did_you_mean(name, known)} Its names are listed at www.tensorflow.org/datasets/catalog."
        )
    configs = list(tfds.builder_cls(name).builder_configs)
    if config and config not in configs:
        allowed = (
            f"its configurations are {named_choices(configs)}" if configs else "it has no configurations"
        )
        raise ConfigError(
            f"The TFDS data set {name!r} has no configuration {config!r}: {allowed}.{did_you_mean(config, configs)}"
        )
    return tfds.builder(builder, data_dir=str(folder), file_format=file_format)


def _prepare(tfds: Any, made: Any, manual_dir: Path | None, builder: str) -> None:
    settings = tfds.download.DownloadConfig(manual_dir=None if manual_dir is None else str(manual_dir))
    import requests

    try:
        made.download_and_prepare(download_config=settings)
    except tfds.download.DownloadError as error:
        raise _refused(builder, error) from error
    except requests.RequestException as error:
        raise _unreachable(
            builder, [str(getattr(error.request, "url", None) or error)], manual_dir
        ) from error
    except OSError as error:
        raise WorkspaceError(
            f"The TFDS data set {builder!r} cannot be prepared in {made.data_dir}: {error.strerror or error}. Mend "
            "that and run the same command again."
        ) from error
    except AssertionError as error:  # what TFDS raises where archives have to be brought by hand
        raise MissingDataError(
            f"The TFDS data set {builder!r} needs archives that nobody but you can fetch: {_sentence(made)} Put them "
            "in a folder and name it with --manual-dir."
        ) from error
    except ImportError as error:
        raise DataError(
            f"TFDS cannot prepare {builder!r} without another package ({error}): install that and run the same command "
            "again."
        ) from error
    except Exception as error:
        if type(error).__name__ not in REFUSALS:
            raise
        raise _refused(builder, error) from error


def _check_reachable(made: Any, downloads: Path, manual_dir: Path | None, builder: str) -> None:
    """Raise MissingDataError at once where no host is to be found: TFDS would try for minutes.

    The addresses that TFDS knows may be more than it needs, and behind a proxy names need not be known here.
    """
    if made.MANUAL_DOWNLOAD_INSTRUCTIONS or getproxies():
        return
    there = {path.name for path in manual_dir.iterdir()} if manual_dir is not None else set()
    urls: Mapping[str, Any] = made.url_infos
    fetched = _fetched(downloads)
    wanted = [url for url, info in urls.items() if info.filename not in there and url not in fetched]
    hosts = {host for url in wanted if (host := urlsplit(url).hostname)}
    if hosts and not any(map(_resolves, hosts)):
        raise _unreachable(builder, wanted, manual_dir)


def _fetched(downloads: Path) -> set[str]:
    """The addresses that TFDS has fetched already, as it notes them beside what it fetched."""
    found: set[str] = set()
    for path in downloads.glob("*.INFO"):
        try:
            found |= set(json.loads(path.read_text(encoding="utf-8")).get("urls", []))
        except (OSError, ValueError, AttributeError):
            continue
    return found


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _unreachable(builder: str, urls: Iterable[str], manual_dir: Path | None) -> MissingDataError:
    missing = sorted(urls)
    place = f"into {manual_dir}" if manual_dir is not None else "into a folder, name it with --manual-dir"
    return MissingDataError(
        f"The TFDS data set {builder!r} cannot be fetched, as {urlsplit(missing[0]).hostname or 'its host'} is not to "
        f"be reached from here. Fetch {', '.join(missing[:5])}{' and others' * (len(missing) > 5)} elsewhere, put them "
        f"{place}, and run the same command again."
    )


def _refused(builder: str, error: Exception) -> DataError:
    said = " ".join(str(error).split())[:400]
    return DataError(
        f"TFDS refuses an archive of {builder!r}: {said} Fetch the archive again, as it was published; archives that "
        "were packed anew are read by the other forms of a source."
    )


def _sentence(made: Any) -> str:
    return " ".join(str(made.MANUAL_DOWNLOAD_INSTRUCTIONS or "TFDS does not say which.").split())


def _format() -> str:
    """ArrayRecord where its package is there, as it is on Linux; else TFRecord."""
    import importlib.util

    return ARRAY_RECORD if importlib.util.find_spec("array_record") else TFRECORD
