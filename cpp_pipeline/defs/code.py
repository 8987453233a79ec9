"""Sources that several assets are made by, as `code_version` takes them."""

VERDICTS = ("sandbox/judging", "sandbox/native")
"""What decides a verdict. The controller and its clients only carry it, so a change there remakes nothing."""
