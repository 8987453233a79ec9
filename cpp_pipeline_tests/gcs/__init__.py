"""A real GCS server for tests, and the tests of roots in a bucket."""
