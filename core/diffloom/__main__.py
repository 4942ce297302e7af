"""`python -m diffloom` is the `diffloom` command."""

from diffloom.cli import main

main()
