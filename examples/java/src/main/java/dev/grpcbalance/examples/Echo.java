package dev.grpcbalance.examples;

import grpcbalance.echo.v1.EchoGrpc;
import grpcbalance.echo.v1.EchoOuterClass.SayRequest;
import grpcbalance.echo.v1.EchoOuterClass.SayResponse;
import io.grpc.Metadata;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.Optional;

/** Answers with the name and the address of its pod. */
final class Echo extends EchoGrpc.EchoImplBase {
    private final String pod;

    private Echo(String pod) {
        this.pod = pod;
    }

    /** The service, with its reply headers, and counted by served. */
    static ServerServiceDefinition service(String pod, Optional<String> podIp, Served served) {
        Metadata headers = new Metadata();
        headers.put(key("pod"), pod);
        podIp.ifPresent(ip -> headers.put(key("pod-ip"), ip));
        return ServerInterceptors.intercept(
            new Echo(pod), served, MetadataUtils.newAttachMetadataServerInterceptor(headers));
    }

    private static Metadata.Key<String> key(String name) {
        return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    }

    @Override
    public void say(SayRequest request, StreamObserver<SayResponse> answer) {
        answer.onNext(SayResponse.newBuilder().setText(request.getText()).setPod(pod).build());
        answer.onCompleted();
    }
}
