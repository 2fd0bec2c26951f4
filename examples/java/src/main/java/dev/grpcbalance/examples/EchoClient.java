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
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;

/** Calls services at a steady rate and records each RPC. */
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

    /**
     * Calls each service of SERVICE in turn, over a channel of its own, one RPC at a time, until SIGTERM; the RPC then
     * in flight is finished and recorded.
     */
    static void run(Env env) throws IOException, InterruptedException {
        Caller caller = Caller.of(env);
        List<ManagedChannelBuilder<?>> builders = new ArrayList<>();
        for (String name : caller.services()) {
            ManagedChannelBuilder<?> builder = channel(env, name, caller.fallback());
            caller.idle().ifPresent(ms -> builder.idleTimeout(ms, MILLISECONDS));
            builders.add(builder);
        }
        env.check();
        List<ManagedChannel> channels = new ArrayList<>();
        for (ManagedChannelBuilder<?> builder : builders) {
            channels.add(builder.build());
        }

        CountDownLatch stop = new CountDownLatch(1);
        Main.onSigterm(stop::countDown);
        for (String name : caller.services()) {
            String target = env.text("GRPC_" + name + "_TARGET").orElse(caller.fallback());
            Lines.write(ClientRecord.start(env, name, target, caller.rate(), caller.timeoutMillis()));
        }
        long turn = System.nanoTime();
        int calls = 0;
        do {
            Lines.write(ClientRecord.say(channels.get(calls++ % channels.size()), caller.timeoutMillis()));
            turn += Math.max(caller.periodNanos(), System.nanoTime() - turn); // turns that were missed are not made up for
        } while (!stop.await(turn - System.nanoTime(), NANOSECONDS));
        channels.forEach(ManagedChannel::shutdownNow);
    }

    /** How the client calls. The same service may stand there twice. */
    private record Caller(
        List<String> services, String fallback, long rate, long periodNanos, long timeoutMillis, OptionalLong idle) {

        static Caller of(Env env) {
            String services = env.text("SERVICE").orElse("");
            String fallback = env.text("FALLBACK_TARGET").orElse("");
            long rate = env.number("RATE", 10_000, "a whole number of RPCs per second, 1 to 10000").orElse(50);
            OptionalLong interval = env.millis("INTERVAL_MS");
            long period = interval.isPresent() ? MILLISECONDS.toNanos(interval.getAsLong()) : SECONDS.toNanos(1) / rate;
            List<String> names = List.of(services.split(",", -1));
            for (String name : names) {
                String target = "GRPC_" + name + "_TARGET";
                if (!name.matches("[A-Z0-9_]+")) {
                    String want = "the NAME in GRPC_<NAME>_TARGET, such as ORDERS, or several: ORDERS,PAYMENTS";
                    env.fail("SERVICE", services, want);
                } else if (env.text(target).orElse(fallback).isEmpty()) {
                    env.fail(target, "", "a target such as dns:///orders:5000, or one in FALLBACK_TARGET");
                }
            }
            long timeoutMillis = env.millis("TIMEOUT_MS").orElse(1000);
            return new Caller(names, fallback, rate, period, timeoutMillis, env.millis("IDLE_TIMEOUT_MS"));
        }
    }
}
