"""`python -m cpp_pipeline` is the `cpp-pipeline` command."""

from cpp_pipeline.cli import main

main()
