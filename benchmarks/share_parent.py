"""The program of one rival's parent process for the questions about sharing; as parent.py for processes."""

import sys

if __name__ == "__main__":
    import measuring
    import share_measuring

    sys.exit(measuring.serve(sys.argv[1], share_measuring.make))
