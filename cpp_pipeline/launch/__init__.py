"""Where a command runs: as a process of this machine, and the sandbox that it judges with."""
