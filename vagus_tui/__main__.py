"""What runs when `vagus-tui` or `python -m vagus_tui` is typed."""

import sys


def main() -> None:
    """Run the command line. Whoever presses Ctrl-C while it is still being read in sees none of Python's insides."""
    try:
        # Within the block too, and the first of all: the smallest file takes its milliseconds.
        from vagus_tui.commands.broken_off import listen

        listen()
        from vagus_tui.cli import main as command_line
    except KeyboardInterrupt:
        from vagus_tui.commands.broken_off import broken_off

        sys.exit(broken_off(sys.argv[1:]))
    command_line()


if __name__ == "__main__":
    main()
