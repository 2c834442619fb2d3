"""How a part of harness is installed that is not in its plain installation: said alike wherever it is said."""


def install_command(extra: str) -> str:
    """The command, given in the folder of harness, that installs what `extra` of pyproject.toml names."""
    return f"pip install -c constraints.txt -e '.[{extra}]'"
