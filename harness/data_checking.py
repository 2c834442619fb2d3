"""`harness data prepare` and `harness data verify`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.contact_sheet import draw_contact_sheet
from harness.data_needs import DataRequest, pool_needs, sources_of
from harness.display import Display
from harness.errors import ConfigError, DataError, MissingDataError
from harness.files import make_folder, write_text
from harness.plan import PoolNeed
from harness.planned_sources import PlannedSources
from harness.pools import Pool, ensure_pool, verify_pool
from harness.subsets import subsets


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What verifying one pool found. `pool` is None where it cannot be read; `problems` empty when all is well."""

    need: PoolNeed
    pool: Pool | None
    problems: tuple[str, ...]
    remark: str = ""

    @property
    def where(self) -> str:
        """`source/split`."""
        return f"{self.need.source.name}/{self.need.split}"


def prepare(request: DataRequest, console: Console) -> None:
    """Prepare the pools asked for. Raises as `pool_needs` and `ensure_pool` do."""
    display = Display(console=console, n_runs=0)
    for need in pool_needs(request):
        pool = ensure_pool(
            need.dataset,
            need.source,
            need.split,
            need.images,
            data_dir=request.raw,
            cache=request.cache,
            progress=display.pool,
        )
        console.print(
            f"{pool.key}: {len(pool.class_names)} classes, {len(pool.images)} images",
            highlight=False,
            soft_wrap=True,
        )


def download(request: DataRequest, manual_dir: Path | None, console: Console) -> None:
    """Let each source fetch its raw data into the data folder.

    Raises ConfigError for a source that cannot, and without a data folder; DataError when fetching fails.
    """
    for name in request.names:
        found = sources_of(name, request.bindings)
        if request.only is not None:
            found = [dataset for dataset in found if dataset.name == request.only]
        for dataset in found:
            fetch = getattr(dataset, "download", None)
            if not callable(fetch):
                advice = getattr(dataset, "how_to_get", "See where it comes from.")
                raise ConfigError(f"The source {dataset.name!r} cannot be downloaded from here. {advice}")
            if request.data_dir is None:
                raise ConfigError("--download needs a folder to put the data in: name it with --data DIR.")
            console.print(f"Fetching {dataset.name}", highlight=False)
            fetch(request.data_dir, manual_dir)


def verify(request: DataRequest, out: Path, console: Console, *, sheets: bool = True) -> int:
    """Check the pools asked for, and write a summary and contact sheets into `out`; 1 when something is wrong.

    sheets: whether to draw contact sheets; images that must not be passed on are better left out.

    Raises as `pool_needs` does.
    """
    findings = [_verified(need, request) for need in pool_needs(request)]
    make_folder(out)
    for finding in findings:
        if finding.pool is not None and sheets:
            draw_contact_sheet(finding.pool, out / _sheet(finding))
    short = _subsets(findings, request)
    write_text(out / "report.md", _summary(findings, short, sheets))
    table = Table(box=None, header_style="bold")
    for column in ("pool", "classes", "images", "found"):
        table.add_column(column, overflow="fold", justify="left" if column in ("pool", "found") else "right")
    for finding in findings:
        verdict = (
            "[green]as it should be[/]"
            if not finding.problems
            else f"[red]{escape(' '.join(finding.problems))}[/]"
        )
        remark = f"; {escape(finding.remark)}" if finding.remark else ""
        table.add_row(finding.where, *_sizes(finding), verdict + remark)
    console.print(table)
    for sentence in short:
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print(
        f"{'Contact sheets and summary' if sheets else 'Summary'}: {out}", highlight=False, soft_wrap=True
    )
    return 1 if any(finding.problems for finding in findings) else 0


def _verified(need: PoolNeed, request: DataRequest) -> Finding:
    try:
        pool = verify_pool(request.cache, need.key)
    except DataError as error:
        return Finding(need=need, pool=None, problems=(str(error),))
    problems = []
    try:
        sizes = dict(need.dataset.class_sizes(need.split, request.raw))
        found = dict(zip(pool.class_names, (int(n) for n in pool.class_sizes), strict=True))
        if list(sizes.items()) != list(found.items()):
            problems.append(_difference(sizes, found))
        remark = f"read from {_route(need, request)}"
    except MissingDataError:
        remark = "the raw data is not there to compare with"
    except DataError as error:
        problems.append(f"The raw data is damaged: {error}")
        remark = ""
    remark += unlike_published(need, len(pool.class_names), request)
    return Finding(need=need, pool=pool, problems=tuple(problems), remark=remark)


def unlike_published(need: PoolNeed, found: int, request: DataRequest) -> str:
    """A clause where a split has not as many classes as were published, else ""."""
    official = getattr(need.dataset, "official_classes", {})
    wanted = official.get(need.split)
    if wanted is None or found == wanted:
        return ""
    try:
        total = sum(len(need.dataset.class_sizes(split, request.raw)) for split in need.dataset.splits)
    except DataError:  # the raw data is gone
        total = found
    if found > wanted or total == sum(official.values()):
        return f"; another class split than the published one, which has {wanted} classes"
    return f"; {found} of {wanted} published classes: numbers measured on it are not comparable"


def _difference(expected: dict[str, int], found: dict[str, int]) -> str:
    """The first class in which a pool and the raw data differ."""
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            return (
                f"Class {name!r} has {found.get(name, 'no')} images in the pool and {expected.get(name, 'no')} in the "
                "raw data: the data changed since it was prepared."
            )
    return "The classes are in another order than in the raw data."


def _route(need: PoolNeed, request: DataRequest) -> str:
    find = getattr(need.dataset, "find", None)
    if not callable(find) or request.raw is None:
        return "itself"
    location, wanted = find(request.raw).location, need.dataset.route  # type: ignore[attr-defined]
    inside = location.is_relative_to(request.raw) and location != request.raw
    place = location.relative_to(request.raw).as_posix() if inside else location.name
    routes = need.dataset.routes()  # type: ignore[attr-defined]
    there = (name for name, look in routes.items() if name == wanted or look(request.raw) is not None)
    return f"{place} ({wanted if wanted in routes else next(there)})"


def _subsets(findings: Sequence[Finding], request: DataRequest) -> list[str]:
    """One sentence for each source of which less is there than was published."""
    said = list[str]()
    for finding in {finding.need.source.name: finding for finding in findings}.values():
        sources = PlannedSources(data_dir=request.raw, cache=request.cache, images=finding.need.images)
        clauses = subsets(sources, [finding.need.dataset])
        said += [
            f"{clause}: a subset; numbers measured on it are not comparable with published ones."
            for clause in clauses
        ]
    return said


def _sizes(finding: Finding) -> tuple[str, str]:
    if finding.pool is None:
        return "", ""
    return str(len(finding.pool.class_names)), str(len(finding.pool.images))


def _sheet(finding: Finding) -> str:
    return f"{finding.where.replace('/', '-')}.png"


def _summary(findings: Sequence[Finding], short: Sequence[str], sheets: bool) -> str:
    """The findings as Markdown, without the places of this machine. short: sentences on sources that are subsets."""
    lines = [
        "# Prepared pools, checked",
        "",
        "Every pixel was read and compared with the digest of its class; names and numbers of classes and images "
        "with the raw data.",
        "",
        "| pool | classes | images | images a class | pixels | sha256 | fingerprint | found |",
        "| --- | ---: | ---: | --- | --- | --- | --- | --- |",
    ]
    for finding in findings:
        pool, problems = finding.pool, "; ".join(finding.problems)
        if pool is None:
            lines.append(f"| {finding.where} | | | | | | | not readable |")
            continue
        low, high = int(pool.class_sizes.min()), int(pool.class_sizes.max())
        pixels = f"{pool.image_size} x {pool.image_size} x {pool.channels}"
        sizes = f"{low}" if low == high else f"{low} to {high}"
        found = problems or f"as it should be; {finding.remark}"
        lines.append(
            f"| {finding.where} | {len(pool.class_names)} | {len(pool.images)} | {sizes} | {pixels} | "
            f"{pool.sha256[:12]} | {pool.fingerprint} | {found} |"
        )
    lines += ["", *[f"- {sentence}" for sentence in short]]
    pictures = [
        f"![{finding.where}: some images of some classes]({_sheet(finding)})"
        for finding in findings
        if finding.pool is not None and sheets
    ]
    return "\n".join([*lines, "", *[line for picture in pictures for line in (picture, "")]]).rstrip() + "\n"
