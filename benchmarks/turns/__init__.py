"""Workers that take turns: ours and each peer in a process of its own that stays, so that imports are paid once.

Belongs here: starting and asking them (`client`), the loop inside (`serve`), and what they do: `ours_*` with this
project, `hf_*` with plain transformers and torch, `trl_*` and `nanochat_*` with a peer of that name. All but the first
hold nothing of this project, so that an interpreter of a peer's environment runs them. Not here: figures and rows.
"""
