"""Tests in a real browser: what users of the Dagster UI and of the report pages see and do."""
