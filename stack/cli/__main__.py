"""Allows `python -m stack.cli` if the script is not on the path."""

from stack.cli import main

if __name__ == "__main__":
    main(prog_name="replaystack")
