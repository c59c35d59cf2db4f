"""What wellhead costs, measured: ``python -m benchmarks``. See README.md."""
