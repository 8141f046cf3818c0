"""The program of one rival's parent process for the questions about pools; as parent.py for processes."""

import sys

if __name__ == "__main__":
    import measuring
    import pool_measuring

    sys.exit(measuring.serve(sys.argv[1], pool_measuring.make))
