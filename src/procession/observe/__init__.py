"""What can be seen from outside: the machine's processes in /proc, and the families in their process tables. Only
reads."""
