"""What runs the product: settings, wiring, sign-in, the API, the clock's jobs and the command line.

This folder knows every other folder of `kpi_core`; none of them knows this one.
"""
