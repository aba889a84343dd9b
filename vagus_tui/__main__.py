"""Lets `python -m vagus_tui` do what the `vagus-tui` command does."""

from vagus_tui.cli import main

if __name__ == "__main__":
    main()
