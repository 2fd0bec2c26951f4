"""The client: a channel for each service, one RPC at a time, at a steady rate."""

import contextlib
import itertools
import re
import threading
import time

import grpc

from . import record
from .echo_pb2_grpc import EchoStub
from .env import Env


# snippet: begin
def channel_settings(env: Env, name: str, fallback: str) -> tuple[str, list[tuple[str, str | int]]]:
    """Return what grpcbalance injects as target and options of a channel; the name is ORDERS in GRPC_ORDERS_TARGET.

    Make the channel once and share it: one for each request would balance nothing.
    """
    ping = env.millis(f"GRPC_{name}_KEEPALIVE_TIME_MS")
    options = {
        "grpc.default_authority": env.text(f"GRPC_{name}_AUTHORITY"),
        "grpc.service_config": env.text(f"GRPC_{name}_SERVICE_CONFIG"),
        "grpc.dns_min_time_between_resolutions_ms": env.millis(f"GRPC_{name}_MIN_RESOLUTION_INTERVAL_MS"),
        "grpc.keepalive_time_ms": ping,
        "grpc.keepalive_timeout_ms": env.millis(f"GRPC_{name}_KEEPALIVE_TIMEOUT_MS"),
        "grpc.keepalive_permit_without_calls": env.flag(f"GRPC_{name}_KEEPALIVE_PERMIT_WITHOUT_CALLS"),
    }
    # No option for what is unset: with an empty service config, every RPC would fail.
    given = [(option, value) for option, value in options.items() if value]
    if ping:
        given.append(("grpc.http2.max_pings_without_data", 0))  # the default, 2, would end the pings after two
    return env.text(f"GRPC_{name}_TARGET") or fallback, given


# snippet: end


def run_client(env: Env, stop: threading.Event) -> None:
    """Call each service of SERVICE in turn, over a channel of its own, until stop is set.

    The RPC then in flight is finished and recorded.
    """
    names, fallback = env.text("SERVICE").split(","), env.text("FALLBACK_TARGET")
    rate = env.number("RATE", 10_000, "a whole number of RPCs per second, 1 to 10000") or 50
    interval = (env.millis("INTERVAL_MS") or 1000 / rate) / 1000
    timeout = env.millis("TIMEOUT_MS") or 1000
    idle = env.millis("IDLE_TIMEOUT_MS")
    settings = [channel_settings(env, name, fallback) for name in names]
    for name, (target, options) in zip(names, settings, strict=True):
        if not re.fullmatch("[A-Z0-9_]+", name):
            env.mistake("SERVICE", "the NAME in GRPC_<NAME>_TARGET, such as ORDERS, or several: ORDERS,PAYMENTS")
        elif not target:
            env.mistake(f"GRPC_{name}_TARGET", "a target such as dns:///orders:5000, or one in FALLBACK_TARGET")
        if idle:
            options.append(("grpc.client_idle_timeout_ms", idle))
    env.check()
    with contextlib.ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(*each)) for each in settings]
        for name, (target, _) in zip(names, settings, strict=True):
            record.start(env, name, target, rate, timeout)
        echoes, turn = itertools.cycle([EchoStub(channel) for channel in channels]), time.monotonic()
        while not stop.wait(max(0, turn - time.monotonic())):
            record.rpc(next(echoes), timeout)
            turn = max(turn + interval, time.monotonic())  # turns that were missed are not made up for
