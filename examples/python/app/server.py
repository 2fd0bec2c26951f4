"""The server: answers with the name and the address of its pod."""

import logging
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from .echo_pb2 import DESCRIPTOR, SayRequest, SayResponse
from .echo_pb2_grpc import EchoServicer, add_EchoServicer_to_server
from .env import Env
from .served import Served


# snippet: begin
def server_options(env: Env) -> list[tuple[str, int]]:
    """Return the settings that grpcbalance injects, as options of grpc.server."""
    options = {
        "grpc.max_connection_age_ms": env.millis("GRPC_SERVER_MAX_CONNECTION_AGE_MS"),
        "grpc.max_connection_age_grace_ms": env.millis("GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS"),
        "grpc.max_connection_idle_ms": env.millis("GRPC_SERVER_MAX_CONNECTION_IDLE_MS"),
        "grpc.keepalive_time_ms": env.millis("GRPC_SERVER_KEEPALIVE_TIME_MS"),
        "grpc.keepalive_timeout_ms": env.millis("GRPC_SERVER_KEEPALIVE_TIMEOUT_MS"),
        "grpc.http2.min_ping_interval_without_data_ms": env.millis("GRPC_SERVER_MIN_PING_INTERVAL_MS"),
        "grpc.keepalive_permit_without_calls": env.flag("GRPC_SERVER_PERMIT_KEEPALIVE_WITHOUT_CALLS"),
    }
    # No option for what is unset: a maximum age of 0 would close each connection at once.
    return [(option, value) for option, value in options.items() if value]


# snippet: end


class Echo(EchoServicer):
    """Answers with what it was sent, and says in the reply and in its headers which pod answered."""

    def __init__(self, pod: str, pod_ip: str, served: Served) -> None:
        self._pod = pod
        self._headers = (("pod", pod), ("pod-ip", pod_ip)) if pod_ip else (("pod", pod),)
        self._served = served

    def Say(self, request: SayRequest, context: grpc.ServicerContext) -> SayResponse:  # noqa: N802
        """Answer."""
        self._served.count(context)
        context.send_initial_metadata(self._headers)
        return SayResponse(text=request.text, pod=self._pod)


def run_server(env: Env, stop: threading.Event) -> None:
    """Serve until stop is set."""
    pod, pod_ip = env.text("POD_NAME") or socket.gethostname(), env.text("POD_IP")
    address = env.text("LISTEN") or ":5000"
    grace = env.millis("SHUTDOWN_GRACE_MS") or 20_000
    options = server_options(env)
    env.check()
    if address.startswith(":"):
        address = f"[::]{address}"  # this library wants a host
    served = Served(pod)
    # A port that is taken is an error; by default this library would share it with whoever has it.
    server = grpc.server(ThreadPoolExecutor(max_workers=10), options=[*options, ("grpc.so_reuseport", 0)])
    add_EchoServicer_to_server(Echo(pod, pod_ip, served), server)
    status = add_health(server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        sys.exit(f"LISTEN={address}: {error}")
    server.start()
    logging.info("serving address=%s:%d pod=%s settings=%s", address.rpartition(":")[0], port, pod, env.set)
    while not stop.wait(1):
        served.write_news()
    shut_down(server, status, grace)
    served.write()


def add_health(server: grpc.Server) -> health.HealthServicer:
    """Add the health service: SERVING for "", the server as a whole, and for Echo.

    Each client that watches it gets a thread of its own, made when needed. The default, no threads, can block the whole
    server when one watch ends while another is told something (grpc/grpc#43403).
    """
    status = health.HealthServicer(experimental_non_blocking=False, experimental_thread_pool=ThreadPoolExecutor(1000))
    status.set(DESCRIPTOR.services_by_name["Echo"].full_name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    return status


def shut_down(server: grpc.Server, status: health.HealthServicer, grace: int) -> None:
    """Stop the server so that RPCs in flight finish.

    First the health service says NOT_SERVING, and clients that watch it have a moment to turn away: an RPC that arrives
    after that may be cancelled by this library (grpc/grpc#41785). Then no new connection is taken, each client is told
    to go elsewhere (GOAWAY), and RPCs in flight have the grace period, in milliseconds. What is left then is cut off.
    """
    status.enter_graceful_shutdown()
    time.sleep(0.5)
    server.stop(grace / 1000).wait()
