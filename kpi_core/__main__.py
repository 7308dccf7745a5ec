"""`python -m kpi_core`: the command line (kpi_core/server/cli.py)."""

from kpi_core.server.cli import main

if __name__ == "__main__":
    main()
