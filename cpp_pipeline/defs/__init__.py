"""Assets, checks and resources by group; domain code lives in the rooms beside this folder."""
