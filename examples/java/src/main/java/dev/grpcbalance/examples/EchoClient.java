package dev.grpcbalance.examples;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.NANOSECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.io.IOException;
import java.security.Security;
import java.util.concurrent.CountDownLatch;

/** Calls a service at a steady rate and records each RPC. */
final class EchoClient {
    private EchoClient() {}

    // snippet: begin

    /** What grpcbalance injects; name is ORDERS in GRPC_ORDERS_TARGET. Build one channel and share it. */
    static ManagedChannelBuilder<?> channel(Env env, String name, String fallback) {
        String v = "GRPC_" + name + "_";
        env.millis(v + "MIN_RESOLUTION_INTERVAL_MS").ifPresent(EchoClient::setMinResolutionInterval);
        String target = env.text(v + "TARGET").orElse(fallback);
        ManagedChannelBuilder<?> channel = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create());
        env.text(v + "AUTHORITY").ifPresent(channel::overrideAuthority);
        env.json(v + "SERVICE_CONFIG").ifPresent(channel::defaultServiceConfig);
        env.millis(v + "KEEPALIVE_TIME_MS").ifPresent(ms -> channel.keepAliveTime(ms, MILLISECONDS));
        env.millis(v + "KEEPALIVE_TIMEOUT_MS").ifPresent(ms -> channel.keepAliveTimeout(ms, MILLISECONDS));
        return channel.keepAliveWithoutCalls(env.flag(v + "KEEPALIVE_PERMIT_WITHOUT_CALLS"));
    }

    /** For the whole process: with several services, take the least, before the first look-up of any name. */
    private static void setMinResolutionInterval(long ms) {
        String seconds = String.valueOf((ms + 999) / 1000);
        System.setProperty("networkaddress.cache.ttl", seconds); // gRPC's; read when a channel is built
        Security.setProperty("networkaddress.cache.ttl", seconds); // the JVM's own cache; gRPC asks that one
        Security.setProperty("networkaddress.cache.negative.ttl", "0"); // a name that has come back; else 10 s more
    }

    // snippet: end

    /** Calls the service SERVICE, one RPC at a time, until SIGTERM; the RPC then in flight is finished and recorded. */
    static void run(Env env) throws IOException, InterruptedException {
        String name = env.text("SERVICE").orElse("");
        String fallback = env.text("FALLBACK_TARGET").orElse("");
        long rate = env.number("RATE", 10_000, "a whole number of RPCs per second, 1 to 10000").orElse(50);
        long timeoutMillis = env.millis("TIMEOUT_MS").orElse(1000);
        String target = env.text("GRPC_" + name + "_TARGET").orElse(fallback);
        if (!name.matches("[A-Z0-9_]+")) {
            env.fail("SERVICE", name, "the NAME in GRPC_<NAME>_TARGET, such as ORDERS");
        } else if (target.isEmpty()) {
            env.fail("GRPC_" + name + "_TARGET", "", "a target such as dns:///orders:5000, or one in FALLBACK_TARGET");
        }
        ManagedChannelBuilder<?> builder = channel(env, name, fallback);
        env.check();
        ManagedChannel channel = builder.build();

        CountDownLatch stop = new CountDownLatch(1);
        Main.onSigterm(stop::countDown);
        Lines.write(ClientRecord.start(env, name, target, rate, timeoutMillis));
        long period = SECONDS.toNanos(1) / rate;
        long turn = System.nanoTime();
        do {
            Lines.write(ClientRecord.say(channel, timeoutMillis));
            turn += Math.max(period, System.nanoTime() - turn); // turns that were missed are not made up for
        } while (!stop.await(turn - System.nanoTime(), NANOSECONDS));
        channel.shutdownNow();
    }
}
