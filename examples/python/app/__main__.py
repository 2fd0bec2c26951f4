"""A gRPC echo server and its client, in one program: `python3 -m app server`, `python3 -m app client`.

Both take their connection settings from the environment variables that grpcbalance injects, and work the same
without any of them.
"""

import argparse
import logging
import os
import signal
import threading

from .client import run_client
from .env import Env
from .server import run_server

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set. Call it before gRPC starts threads of its own.

    A thread takes the signals: a handler would run in the middle of whatever the main thread does, and could
    neither interrupt an RPC nor safely set an event that the main thread waits for.
    """
    stop = threading.Event()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the threads to come inherit it

    def wait() -> None:
        signal.sigwait(_SIGNALS)
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


def main() -> None:
    """Run the program that the argument names. A malformed variable ends it with exit code 1."""
    parser = argparse.ArgumentParser(prog="app", epilog="Settings come from environment variables.")
    parser.add_argument("program", choices=["server", "client"])
    run = {"server": run_server, "client": run_client}[parser.parse_args().program]
    logging.basicConfig(level=logging.INFO)  # on stderr
    run(Env(), stop_event())
    os._exit(0)  # sys.exit would wait for whatever still runs in the server's threads, though it was cut off


main()
