"""A program that calls `argv[1]` as often as each line of its input says, and answers with a line: whom it reached.

Run by test_real_client in a process of its own, since gRPC reads its bootstrap once per process.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter

import grpc

PAUSE = 0.002


def main() -> None:
    """Call until there is no more input."""
    with grpc.insecure_channel(sys.argv[1]) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/tests.Echo/Who")
        for line in sys.stdin:
            found: Counter[str] = Counter()
            for _ in range(int(line)):
                try:
                    found[call(b"", timeout=20).decode()] += 1
                except grpc.RpcError as error:
                    found[f"failed: {error}"] += 1
                time.sleep(PAUSE)
            print(json.dumps(found), flush=True)  # noqa: T201 - it is its answer


if __name__ == "__main__":
    main()
