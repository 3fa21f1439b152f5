"""`python -m maskwatch` is `maskwatch`."""

from maskwatch.cli.app import main

main()
