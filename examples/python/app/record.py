"""The client's record: a line that says what the client works with, then a line for each RPC."""

import time

import grpc

from . import lines
from .echo_pb2 import SayRequest
from .echo_pb2_grpc import EchoStub
from .env import Env


def start(env: Env, service: str, target: str, rate: int, timeout: int) -> None:
    """Write the first line: what the client was told, and what it made of it."""
    facts = {
        "t": lines.now(),
        "service": service,
        "target": target,
        "authority": env.set.get(f"GRPC_{service}_AUTHORITY", ""),
        "service_config": env.set.get(f"GRPC_{service}_SERVICE_CONFIG", ""),
        "rate": rate,
        "timeout_ms": timeout,
        "settings": env.set,
        "grpc": grpc.__version__,
    }
    lines.write({"start": facts})


def rpc(echo: EchoStub, timeout: int) -> None:
    """Make one RPC with a deadline in milliseconds, and write what came of it. A failure is part of the record."""
    at, began = lines.now(), time.perf_counter()
    pod, outcome = "", {"code": "OK"}
    try:
        pod = echo.Say(SayRequest(text="hello"), timeout=timeout / 1000).pod
    except grpc.RpcError as error:
        outcome = {"code": error.code().name, "err": error.details() or ""}
    ms = round((time.perf_counter() - began) * 1000, 3)
    # This library does not tell which address answered.
    lines.write({"t": at, "ms": ms, "pod": pod, "peer": "", **outcome})
