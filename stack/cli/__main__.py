"""`python -m stack.cli` is the command too, where its script is not on the path."""

from stack.cli import main

if __name__ == "__main__":
    main(prog_name="replaystack")
