"""A package with a method, as pip installs it: from a wheel, or in place (editable)."""

from pathlib import Path

from harness.scaffold import write_plugin

NAME = "head_only"


def install(folder: Path, *, in_place: bool = False) -> tuple[Path, Path]:
    """Write it into `folder`; returns the folder of packages (for sys.path), and the plugin's module.

    in_place: its package lies elsewhere, and the metadata beside a .pth names none of its files.
    """
    write_plugin("method", NAME, folder)
    made = folder / NAME
    site = folder / "site"
    info = site / "harness_head_only-0.1.dist-info"
    info.mkdir(parents=True)
    package = f"harness_{NAME}"
    if not in_place:
        (made / package).rename(site / package)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harness-head-only\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[harness.methods]\n{NAME} = {package}.{NAME}:HeadOnly\n")
    listed = ["_harness_head_only.pth"] if in_place else [f"{package}/__init__.py", f"{package}/{NAME}.py"]
    names = [*listed, f"{info.name}/METADATA", f"{info.name}/entry_points.txt", f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    return site, (made if in_place else site) / package / f"{NAME}.py"
