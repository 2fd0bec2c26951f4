package dev.grpcbalance.examples;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import com.google.common.net.InetAddresses;
import grpcbalance.echo.v1.EchoGrpc;
import grpcbalance.echo.v1.EchoOuterClass.SayRequest;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.time.Instant;
import java.util.Map;
import java.util.Objects;

/** The client's record is a stream of JSON objects, one a line: a StartLine, then an Rpc for each RPC. */
final class ClientRecord {
    private static final SayRequest REQUEST = SayRequest.newBuilder().setText("hello").build();

    private ClientRecord() {}

    /** The first line: what the client was told, and what it made of it. */
    record StartLine(Start start) {}

    record Start(
        String t,
        String service,
        String target,
        String authority, // "" if none was set
        String service_config, // JSON text; "" if none was set
        long rate, // RPCs per second
        long timeout_ms, // deadline of each RPC
        Map<String, String> settings, // each variable that was set, as it was
        String grpc) {} // the library's version

    /** One RPC; err and mismatch are null where they say nothing. */
    record Rpc(String t, double ms, String pod, String peer, String code, String err, Boolean mismatch) {}

    static StartLine start(Env env, String service, String target, long rate, long timeoutMillis) {
        String v = "GRPC_" + service + "_";
        return new StartLine(new Start(
            Lines.time(Instant.now()),
            service,
            target,
            env.text(v + "AUTHORITY").orElse(""),
            env.text(v + "SERVICE_CONFIG").orElse(""),
            rate,
            timeoutMillis,
            env.set(),
            Grpc.class.getPackage().getImplementationVersion()));
    }

    /** Makes one RPC and reports what came of it. A failure is part of the report. */
    static Rpc say(Channel channel, long timeoutMillis) {
        Reply reply = new Reply();
        Instant start = Instant.now();
        long began = System.nanoTime();
        Status status = Status.OK;
        try {
            EchoGrpc.newBlockingStub(channel)
                .withInterceptors(reply)
                .withDeadlineAfter(timeoutMillis, MILLISECONDS)
                .say(REQUEST);
        } catch (StatusRuntimeException e) {
            status = e.getStatus();
        }
        long micros = (System.nanoTime() - began) / 1000;
        return new Rpc(
            Lines.time(start),
            micros / 1000.0,
            reply.header("pod"),
            Lines.address(reply.peer),
            status.getCode().name(),
            status.isOk() ? null : message(status),
            reply.mismatch() ? true : null);
    }

    /** The description alone may be no more than "io exception". */
    private static String message(Status status) {
        String description = Objects.requireNonNullElse(status.getDescription(), "");
        return status.getCause() == null ? description : description + ": " + status.getCause();
    }

    /** What a stub does not hand out: the reply's headers and the address at the far end of the connection. */
    private static final class Reply implements ClientInterceptor {
        private Metadata headers = new Metadata();
        private SocketAddress peer; // null if there was no connection

        @Override
        public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            return new SimpleForwardingClientCall<Q, A>(next.newCall(method, options)) {
                @Override
                public void start(Listener<A> listener, Metadata request) {
                    super.start(new SimpleForwardingClientCallListener<A>(listener) {
                        @Override
                        public void onHeaders(Metadata reply) {
                            headers = reply;
                            super.onHeaders(reply);
                        }

                        @Override
                        public void onClose(Status status, Metadata trailers) {
                            peer = getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
                            super.onClose(status, trailers);
                        }
                    }, request);
                }
            };
        }

        String header(String name) {
            String value = headers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
            return value == null ? "" : value;
        }

        /** Whether the pod's own address is known and not the one that the connection goes to. */
        boolean mismatch() {
            String ip = header("pod-ip");
            boolean same = peer instanceof InetSocketAddress inet
                && InetAddresses.isInetAddress(ip)
                && InetAddresses.forString(ip).equals(inet.getAddress());
            return peer != null && !ip.isEmpty() && !same;
        }
    }
}
