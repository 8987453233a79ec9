"""Tables, checkpoints and reports on a folder or `gs://` root, and when they are up to date."""
