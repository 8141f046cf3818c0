"""The program of one rival's parent process for the questions about synchronisation; as parent.py for processes."""

import sys

if __name__ == "__main__":
    import measuring
    import sync_measuring

    sys.exit(measuring.serve(sys.argv[1], sync_measuring.make))
