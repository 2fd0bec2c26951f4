package dev.grpcbalance.examples;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.common.net.HostAndPort;
import grpcbalance.echo.v1.EchoGrpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.ServerBuilder;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Optional;

/** Serves Echo and the health service. */
final class EchoServer {
    private EchoServer() {}

    // snippet: begin

    /** The settings that grpcbalance injects. What is unset stays unset: a 0 is an exception here, or "at once". */
    static void configure(ServerBuilder<?> server, Env env) {
        String v = "GRPC_SERVER_";
        env.millis(v + "MAX_CONNECTION_AGE_MS").ifPresent(ms -> server.maxConnectionAge(ms, MILLISECONDS));
        env.millis(v + "MAX_CONNECTION_AGE_GRACE_MS").ifPresent(ms -> server.maxConnectionAgeGrace(ms, MILLISECONDS));
        env.millis(v + "MAX_CONNECTION_IDLE_MS").ifPresent(ms -> server.maxConnectionIdle(ms, MILLISECONDS));
        env.millis(v + "KEEPALIVE_TIME_MS").ifPresent(ms -> server.keepAliveTime(ms, MILLISECONDS));
        env.millis(v + "KEEPALIVE_TIMEOUT_MS").ifPresent(ms -> server.keepAliveTimeout(ms, MILLISECONDS));
        env.millis(v + "MIN_PING_INTERVAL_MS").ifPresent(ms -> server.permitKeepAliveTime(ms, MILLISECONDS));
        server.permitKeepAliveWithoutCalls(env.flag(v + "PERMIT_KEEPALIVE_WITHOUT_CALLS"));
    }

    // snippet: end

    /** Serves until SIGTERM. Throws if it cannot start. */
    static void run(Env env) throws IOException, InterruptedException {
        Optional<String> podName = env.text("POD_NAME");
        String pod = podName.isPresent() ? podName.get() : InetAddress.getLocalHost().getHostName();
        InetSocketAddress address = listenAddress(env);
        long graceMillis = env.millis("SHUTDOWN_GRACE_MS").orElse(20_000);

        Served served = new Served(pod);
        HealthStatusManager health = new HealthStatusManager(); // SERVING for "", the server as a whole
        health.setStatus(EchoGrpc.SERVICE_NAME, ServingStatus.SERVING);
        ServerBuilder<?> builder = NettyServerBuilder.forAddress(address, InsecureServerCredentials.create())
            .addService(Echo.service(pod, env.text("POD_IP"), served))
            .addService(health.getHealthService());
        configure(builder, env);
        env.check();
        Server server = builder.build().start();
        String listens = Lines.address(server.getListenSockets().get(0));
        System.err.println("serving address=" + listens + " pod=" + pod + " settings=" + env.set());

        Main.onSigterm(() -> stop(server, health, graceMillis));
        while (!server.awaitTermination(1, SECONDS)) {
            served.writeIfMore();
        }
        served.write();
    }

    /**
     * Loses no RPC: first the health service says NOT_SERVING; then no new connection is taken, each client is told to
     * go elsewhere (GOAWAY), and RPCs in flight have the time grace to finish. Only what is left after that is cut off.
     */
    private static void stop(Server server, HealthStatusManager health, long graceMillis) {
        health.enterTerminalState();
        server.shutdown();
        try {
            server.awaitTermination(graceMillis, MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        server.shutdownNow();
    }

    private static InetSocketAddress listenAddress(Env env) {
        String text = env.text("LISTEN").orElse(":5000");
        try {
            HostAndPort listen = HostAndPort.fromString(text);
            return listen.getHost().isEmpty()
                ? new InetSocketAddress(listen.getPort())
                : new InetSocketAddress(listen.getHost(), listen.getPort());
        } catch (IllegalArgumentException | IllegalStateException e) {
            env.fail("LISTEN", text, "an address such as :5000 or 127.0.0.1:5000");
            return new InetSocketAddress(0);
        }
    }
}
