"""A command as the trainers are: flags, an output folder, steps that are resumed, `result.json` last."""

import argparse
import hashlib
import json
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Write a line a step; the weights are the hash of data, model and lines."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--data", type=Path, required=True)
    flags.add_argument("--model", type=Path, required=True)
    flags.add_argument("--steps", type=int, default=5)
    flags.add_argument("--seconds", type=float, default=0.05)
    flags.add_argument("--broken", action="store_true")
    flags.add_argument("--part", default="0/1")
    flags.add_argument("--output", type=Path, required=True)
    args = flags.parse_args()
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    log = args.output / "metrics.jsonl"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    print(f"from step {done}", flush=True)
    for step in range(done, args.steps):
        time.sleep(args.seconds)
        with log.open("a") as out:
            out.write(json.dumps({"step": step, "loss": 1 / (step + 1), "part": args.part}) + "\n")
        print(f"step {step}", flush=True)
        if stop:
            sys.exit(143)
        if args.broken:
            raise SystemExit("the loss is not finite")
    hashed = hashlib.sha256(args.data.read_bytes() + (args.model / "weights").read_bytes() + log.read_bytes())
    (args.output / "result.json").write_text(json.dumps({"weights_sha256": hashed.hexdigest(), "steps": args.steps}))


if __name__ == "__main__":
    main()
