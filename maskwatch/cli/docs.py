"""`maskwatch docs`: the documentation and the sample files of this version, offline."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from maskwatch.errors import UsageError

_PACKAGE = Path(__file__).parent.parent
_PARTS = ("README.md", "CHANGELOG.md", "LICENSE", "config.example.yaml", "docs", "deploy", "systemd")


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List the files; so does the verb without NAME.")
@click.option("--path", "as_path", is_flag=True, help="Print the path of the file or of the folder.")
def docs(name: str | None, listed: bool, as_path: bool) -> None:
    r"""Print a file of the documentation, or list all of them.

    They are the files of this version: the manual, the example configuration, the systemd unit,
    Prometheus rules, Grafana dashboards. NAME is a path of the list, or its last part.

    \b
    Examples:
      maskwatch docs --list
      maskwatch docs install.md | less
      maskwatch docs config.example.yaml > config.yaml
      cp -r "$(maskwatch docs --path)/deploy/grafana" /etc/grafana/maskwatch
    """
    folder = _folder()
    if name is None or listed:
        click.echo(folder if as_path else "\n".join(_names(folder)))
        return
    path = folder / _find(folder, name)
    click.echo(path if as_path else path.read_bytes(), nl=as_path)


def _folder() -> Path:
    """Return where the files are: inside an installed package, or in a checkout."""
    installed = _PACKAGE / "_share"
    return installed if installed.is_dir() else _PACKAGE.parent


def _names(folder: Path) -> list[str]:
    """Return the paths of all files, relative to `folder`."""
    found = [
        path
        for part in _PARTS
        for path in ([folder / part] if (folder / part).is_file() else (folder / part).rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    return sorted(str(path.relative_to(folder)) for path in found)


def _find(folder: Path, name: str) -> str:
    names = _names(folder)
    found = [path for path in names if path == name or path.endswith(f"/{name}")]
    found = found or [path for path in names if Path(path).stem == name]
    if len(found) == 1 or name in found:
        return name if name in found else found[0]
    if found:
        raise UsageError(f"{name!r} is the name of several files: {', '.join(found)}")
    near = difflib.get_close_matches(name, [*names, *(Path(path).name for path in names)], n=1)
    hint = f"; did you mean {near[0]}?" if near else "; `maskwatch docs --list` lists them"
    raise UsageError(f"there is no file {name!r}{hint}")
