"""Rules about where code may live and what it may import."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = sorted(
    path for root in ("harness", "methods", "datasets") for path in (REPOSITORY / root).rglob("*.py")
)
SOURCES = [path for path in CODE if path.is_relative_to(REPOSITORY / "datasets" / "harness_datasets")]
HEAVY = (
    "torch",
    "ray",
    "tensorflow",
    "tensorflow_datasets",
    "pandas",
    "gin",
    "scipy",
    "sklearn",
    "matplotlib",
)
LONGEST_FILE = 330
LONGEST_FUNCTION = 55


def imports(path: Path, *, only_at_import: bool = False) -> Iterator[str]:
    """Top-level names of the packages that `path` imports, wherever in the file or when it is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if only_at_import else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def importers(package: str) -> set[str]:
    return {str(path.relative_to(REPOSITORY)) for path in CODE if package in imports(path)}


def test_only_the_config_imports_gin() -> None:
    assert importers("gin") == {"harness/config.py"}


def test_only_the_session_imports_ray_and_a_search_its_searcher_and_only_when_it_is_needed() -> None:
    assert importers("ray") == {"harness/ray_session.py", "harness/search/tune_search.py"}
    assert importers("optuna") == {"harness/search/tune_search.py"}
    for path in CODE:
        assert not {"ray", "optuna"} & set(imports(path, only_at_import=True)), path


def test_only_what_lies_behind_urls_is_read_with_fsspec_and_only_when_there_is_one() -> None:
    assert importers("fsspec") == {"harness/remote/objects.py"}
    assert "fsspec" not in imports(REPOSITORY / "harness/remote/objects.py", only_at_import=True)
    assert "fsspec" not in loaded_by("import harness.cli, harness.workflow")


@pytest.mark.parametrize("package", ["tensorflow", "tensorflow_datasets"])
def test_only_sources_import_tensorflow_and_only_when_they_read(package: str) -> None:
    assert importers(package) <= {str(path.relative_to(REPOSITORY)) for path in SOURCES}
    for path in CODE:
        assert package not in imports(path, only_at_import=True), path


@pytest.mark.parametrize("package", ["mujoco", "gymnasium"])
def test_only_sources_import_what_bodies_move_in_and_only_when_they_move(package: str) -> None:
    assert importers(package) <= {str(path.relative_to(REPOSITORY)) for path in SOURCES}
    for path in CODE:
        assert package not in imports(path, only_at_import=True), path


@pytest.mark.parametrize("package", ["tensorboard", "mlflow", "wandb"])
def test_only_trackers_import_what_they_write_with_and_only_when_it_is_needed(package: str) -> None:
    assert {Path(path).parent.name for path in importers(package)} == {"tracking"}
    for path in CODE:
        assert package not in imports(path, only_at_import=True), path


def test_the_core_knows_no_plugin_package() -> None:
    for package in ("harness_methods", "harness_datasets"):
        assert not {name for name in importers(package) if name.startswith("harness/")}


def loaded_by(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import harness") & set(HEAVY)


def test_the_worker_needs_neither_ray_nor_gin_nor_tensorflow() -> None:
    assert not loaded_by("import harness.worker") & {"ray", "gin", "tensorflow", "tensorflow_datasets"}


def test_a_report_loads_nothing_that_most_reports_do_not_need() -> None:
    assert not loaded_by("import harness.report.build") & {"scipy.stats", "vl_convert", "torch"}


def test_extras_are_installed_by_one_command_wherever_that_is_said() -> None:
    """The one of `harness.extras`, which keeps to the versions that everything is tested with."""
    pages = [REPOSITORY / "README.md", REPOSITORY / "gin" / "README.md"]
    texts = [*pages, *(REPOSITORY / "gin").rglob("*.gin"), *CODE]
    for path in texts:
        text = path.read_text(encoding="utf-8")
        assert "pip install 'harness[" not in text, path
        assert "pip install '.[" not in text, path
        assert "pip install -e '.[" not in text, path


@pytest.mark.parametrize("folder", ["methods", "datasets", "gin", "tests", "reports"])
def test_source_roots_are_no_packages(folder: str) -> None:
    assert not (REPOSITORY / folder / "__init__.py").exists()


def test_no_file_is_named_for_being_unnamed() -> None:
    assert not {path.name for path in CODE} & {
        "utils.py",
        "util.py",
        "helpers.py",
        "base.py",
        "common.py",
        "misc.py",
    }


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
