"""A judge and a runner: two containers of one pod, where the runner's runs what is not trusted.

Belongs here: boxes for a place that has neither bubblewrap nor Landlock, as inside of a gVisor pod. The judge holds
the tests and decides; the runner has another uid, other files and no secrets, and does what the judge asks over a unix
socket, one box at a time. Not here: verdicts (`judging`), and who asks the judge (`pool`).
"""
