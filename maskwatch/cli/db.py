"""`maskwatch db`: check, back up, restore and prune the database."""

from __future__ import annotations

from pathlib import Path

import click

from maskwatch.cli.options import data_location_options, find_data
from maskwatch.errors import StoreDamagedError, StoreError

_REMOVED_NAMES = {
    "picture": "pictures",
    "violation": "violations",
    "occupancy": "occupancy minutes",
    "orphan": "unreferenced files",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def db() -> None:
    r"""Check, back up, restore and prune the database.

    \b
    Examples:
      maskwatch db check
      maskwatch db prune --dry-run
      maskwatch db backup /mnt/backup/
      maskwatch db restore /mnt/backup/maskwatch-20260301T120000Z.db
    """


@db.command()
@data_location_options
def check(config: Path | None, data_dir: Path | None) -> None:
    r"""Check database and pictures for damage and list the contents. The daemon may run meanwhile.

    Every row and every picture is compared with its checksum. The exit code is 0 if all is sound, 4
    if the database or a picture is damaged.

    \b
    Examples:
      maskwatch db check --config config.yaml
    """
    from maskwatch.store.data_dir import DataDir
    from maskwatch.store.integrity import find_damage
    from maskwatch.store.queries import inventory, read_session

    directory = DataDir(find_data(config, data_dir).data_dir)
    if not directory.database.is_file():
        raise StoreError(f"there is no database at {directory.database}")
    damage = find_damage(directory.database, thorough=True, options="mode=ro")
    if damage:
        raise StoreDamagedError(
            f"the database {directory.database} is damaged: {damage}\n"
            "At its next start the daemon moves a damaged database aside and copies all readable "
            "rows; or restore a backup (maskwatch db restore)."
        )
    with read_session(directory.database) as session:
        contents = inventory(session, directory.pictures)
    click.echo(f"{directory.database} is sound (revision {contents.revision}).")
    for name, count in contents.rows.items():
        click.echo(f"  {name:<20} {count:>10}")
    click.echo(f"  {'bytes in use':<20} {contents.used_bytes:>10}")
    click.echo(f"  {'picture bytes':<20} {contents.picture_bytes:>10}")
    if contents.missing_pictures:
        click.echo(f"  missing pictures: {contents.missing_pictures}")
    for picture in contents.damaged_pictures:
        click.echo(f"  damaged picture: {directory.pictures / picture}")
    if contents.damaged_pictures:
        raise StoreDamagedError(
            f"{len(contents.damaged_pictures)} pictures are not what was written: they are not sent; "
            "replace each by its copy from a backup, or remove it"
        )


@db.command()
@click.argument("target")
@data_location_options
def backup(config: Path | None, data_dir: Path | None, target: str) -> None:
    r"""Copy the database to TARGET, a new file or a directory, while the daemon runs.

    A TARGET that ends with a slash is a directory; it is made if it does not exist. The copy is a
    checked snapshot of the database. Pictures are ordinary files in the folder
    `pictures` of the data directory; copy them after the database with any tool.

    \b
    Examples:
      maskwatch db backup /mnt/backup/
      maskwatch db backup before-upgrade.db
    """
    from maskwatch.clock import SystemClock
    from maskwatch.store.backup import backup as make_backup
    from maskwatch.store.data_dir import DataDir

    directory = DataDir(find_data(config, data_dir).data_dir)
    path = Path(target)
    if target.endswith("/"):
        _make_directory(path)
    if path.is_dir():
        path /= f"maskwatch-{SystemClock().now():%Y%m%dT%H%M%SZ}.db"
    size = make_backup(directory.database, path)
    click.echo(f"{path}: {size} bytes, checked")


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot make the directory: {error.strerror}") from error


@db.command()
@click.argument("source", type=click.Path(path_type=Path))
@data_location_options
def restore(config: Path | None, data_dir: Path | None, source: Path) -> None:
    r"""Replace the database by the backup SOURCE; the daemon must be stopped.

    The present database is kept beside it under another name. Alerts that were pending at the time
    of the backup are sent again, with the same ids.

    \b
    Examples:
      maskwatch db restore /mnt/backup/maskwatch-20260301T120000Z.db
    """
    from maskwatch.clock import SystemClock
    from maskwatch.store.backup import check_backup
    from maskwatch.store.backup import restore as restore_backup
    from maskwatch.store.data_dir import DataDir, DirectoryLock

    directory = DataDir(find_data(config, data_dir).data_dir)
    check_backup(source)
    directory.prepare()
    with DirectoryLock(directory, timeout=0.0):
        old = restore_backup(directory, source, SystemClock().now())
    click.echo(f"{directory.database} is now the backup {source}")
    if old is not None:
        click.echo(f"the replaced database is kept as {old}")


@db.command()
@click.option("--dry-run", is_flag=True, help="Only list what would be removed; the daemon may run.")
@data_location_options
def prune(config: Path | None, data_dir: Path | None, dry_run: bool) -> None:
    r"""Remove what exceeds `store.retention` of the configuration.

    A running daemon does this regularly; without --dry-run it must be stopped.

    \b
    Examples:
      maskwatch db prune --dry-run --config config.yaml
      maskwatch db prune --config config.yaml
    """
    from maskwatch.config.schema import RetentionConfig
    from maskwatch.store.data_dir import DataDir
    from maskwatch.store.offline import prune as prune_data

    where = find_data(config, data_dir)
    directory = DataDir(where.data_dir)
    if not directory.database.is_file():
        raise StoreError(f"there is no database at {directory.database}")
    counts = prune_data(directory, where.retention or RetentionConfig(), dry_run=dry_run)
    verb = "would be removed" if dry_run else "removed"
    for kind, count in counts.items():
        click.echo(f"{count:>8} {_REMOVED_NAMES[kind]} {verb}")
