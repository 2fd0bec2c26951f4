package dev.grpcbalance.examples;

import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import java.io.IOException;
import java.time.Instant;
import java.util.concurrent.atomic.AtomicLong;

/** Counts the RPCs that reach a server, and writes how many there were. */
final class Served implements ServerInterceptor {
    private static final Metadata.Key<String> PREVIOUS_ATTEMPTS =
        Metadata.Key.of("grpc-previous-rpc-attempts", Metadata.ASCII_STRING_MARSHALLER);

    private final String pod;
    private final AtomicLong attempts = new AtomicLong();
    private final AtomicLong retries = new AtomicLong(); // those that the client's library marked as a repetition
    private long written;

    Served(String pod) {
        this.pod = pod;
    }

    private record Line(Count served) {}

    private record Count(String t, String pod, long attempts, long retries) {}

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        attempts.incrementAndGet();
        if (headers.containsKey(PREVIOUS_ATTEMPTS)) {
            retries.incrementAndGet();
        }
        return next.startCall(call, headers);
    }

    void write() throws IOException {
        written = attempts.get();
        Lines.write(new Line(new Count(Lines.time(Instant.now()), pod, written, retries.get())));
    }

    void writeIfMore() throws IOException {
        if (attempts.get() > written) {
            write();
        }
    }
}
