"""`python -m trunkline.cli`: the command line without its script."""

from trunkline.cli import main

main()
