"""Backup: dump, CSV, manifest, verification, restore test. A backup is what has been restored."""

from vagus_tui.backup.gate import backup_outcome
from vagus_tui.backup.listing import BackupInfo, latest_backup, list_backups
from vagus_tui.backup.make import make_backup
from vagus_tui.backup.options import ArchiveFormat, BackupOptions, Compression, Kind
from vagus_tui.backup.restore import restore_test
from vagus_tui.backup.verify import verify_backup

__all__ = [
    "ArchiveFormat",
    "BackupInfo",
    "BackupOptions",
    "Compression",
    "Kind",
    "backup_outcome",
    "latest_backup",
    "list_backups",
    "make_backup",
    "restore_test",
    "verify_backup",
]
