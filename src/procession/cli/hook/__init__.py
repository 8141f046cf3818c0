"""A folder for the front of PYTHONPATH: the interpreter imports its `sitecustomize` before it runs the user's
program."""
