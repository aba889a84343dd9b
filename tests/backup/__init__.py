"""Tests of making, verifying and restoring backups."""
