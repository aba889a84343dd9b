"""The commands of the command line, one file per subject; the same layer as `cli.py`."""
