"""The program of one rival's parent process for the questions about awaiting; as parent.py for processes."""

import sys

if __name__ == "__main__":
    import await_measuring
    import measuring

    sys.exit(measuring.serve(sys.argv[1], await_measuring.make))
