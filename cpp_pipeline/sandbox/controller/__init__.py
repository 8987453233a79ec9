"""The execution controller: HTTP, admission, replays, tokens, drain."""
