"""The program of one rival's parent process for the question about dispatch queues; as parent.py for processes."""

import sys

if __name__ == "__main__":
    import dispatch_measuring
    import measuring

    sys.exit(measuring.serve(sys.argv[1], dispatch_measuring.make))
