"""``python -m procession``: the same as the command `procession`."""

from procession.cli import main

if __name__ == "__main__":
    main(prog_name="python -m procession")
