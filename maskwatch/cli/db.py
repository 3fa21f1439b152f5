"""`maskwatch db`: check, back up, restore and prune the database."""

from __future__ import annotations

from pathlib import Path

import click

from maskwatch.cli.data_location import data_location_options, find_data
from maskwatch.errors import StoreDamagedError, StoreError

__all__ = ["db"]


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
    r"""Look whether the database is sound, and what is in it. The daemon may run meanwhile.

    The exit code is 0 if it is sound, 4 if it is not.

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
    problem = find_damage(directory.database, thorough=True, options="mode=ro")
    if problem:
        raise StoreDamagedError(
            f"the database {directory.database} is damaged: {problem}\n"
            "The daemon moves a damaged database aside at its next start and carries over what it "
            "can; or restore a backup (maskwatch db restore)."
        )
    with read_session(directory.database) as session:
        found = inventory(session, directory.pictures)
    click.echo(f"{directory.database} is sound (revision {found.revision}).")
    for name, count in found.rows.items():
        click.echo(f"  {name:<20} {count:>10}")
    click.echo(f"  {'bytes in use':<20} {found.used_bytes:>10}")
    click.echo(f"  {'picture bytes':<20} {found.picture_bytes:>10}")
    if found.missing_pictures:
        click.echo(f"  pictures that rows name but the disk has not: {found.missing_pictures}")


@db.command()
@click.argument("target", type=click.Path(path_type=Path))
@data_location_options
def backup(config: Path | None, data_dir: Path | None, target: Path) -> None:
    r"""Copy the database to TARGET, a new file or a directory, while the daemon goes on.

    The copy is one moment of the database, whole and checked. Pictures are ordinary files in the
    data directory's folder `pictures`; copy them after the database with any tool.

    \b
    Examples:
      maskwatch db backup /mnt/backup/
      maskwatch db backup before-upgrade.db
    """
    from maskwatch.clock import SystemClock
    from maskwatch.store.backup import backup as make_backup
    from maskwatch.store.data_dir import DataDir

    directory = DataDir(find_data(config, data_dir).data_dir)
    if target.is_dir():
        target /= f"maskwatch-{SystemClock().now():%Y%m%dT%H%M%SZ}.db"
    size = make_backup(directory.database, target)
    click.echo(f"{target}: {size} bytes, checked")


@db.command()
@click.argument("source", type=click.Path(path_type=Path))
@data_location_options
def restore(config: Path | None, data_dir: Path | None, source: Path) -> None:
    r"""Put the backup SOURCE in the place of the database; the daemon must be stopped.

    The present database is kept beside it under another name. Alerts that were waiting when the
    backup was made are sent again, with the ids they had.

    \b
    Examples:
      maskwatch db restore /mnt/backup/maskwatch-20260301T120000Z.db
    """
    from maskwatch.clock import SystemClock
    from maskwatch.store.backup import check_backup
    from maskwatch.store.backup import restore as put_back
    from maskwatch.store.data_dir import DataDir, DirectoryLock

    directory = DataDir(find_data(config, data_dir).data_dir)
    check_backup(source)
    directory.prepare()
    with DirectoryLock(directory, timeout=0.0):
        old = put_back(directory, source, SystemClock().now())
    click.echo(f"{directory.database} is now the backup {source}")
    if old is not None:
        click.echo(f"the database that was there is kept as {old}")


@db.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed; the daemon may run.")
@data_location_options
def prune(config: Path | None, data_dir: Path | None, dry_run: bool) -> None:
    r"""Remove what the configuration's `store.retention` no longer keeps.

    A running daemon does this by itself; without --dry-run it must be stopped.

    \b
    Examples:
      maskwatch db prune --dry-run --config config.yaml
      maskwatch db prune --config config.yaml
    """
    from maskwatch.config.schema import RetentionConfig
    from maskwatch.store.data_dir import DataDir
    from maskwatch.store.offline import prune as remove

    where = find_data(config, data_dir)
    directory = DataDir(where.data_dir)
    if not directory.database.is_file():
        raise StoreError(f"there is no database at {directory.database}")
    counts = remove(directory, where.retention or RetentionConfig(), dry_run=dry_run)
    verb = "would be removed" if dry_run else "removed"
    for kind, count in counts.items():
        click.echo(f"{count:>8} {_KINDS[kind]} {verb}")


_KINDS = {
    "picture": "pictures",
    "violation": "violations",
    "occupancy": "minutes counted",
    "orphan": "stray files",
}
