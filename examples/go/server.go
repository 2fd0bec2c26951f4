package main

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"grpcbalance.dev/examples/go/echov1"
)

// snippet: begin

// serverOptions are the settings that grpcbalance injects. What is unset stays 0, which to grpc-go means its
// own default (and only to grpc-go: C++, Python and Node take a maximum age of 0 literally).
func serverOptions(e *env) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      e.millis("GRPC_SERVER_MAX_CONNECTION_AGE_MS", 0),
			MaxConnectionAgeGrace: e.millis("GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS", 0),
			MaxConnectionIdle:     e.millis("GRPC_SERVER_MAX_CONNECTION_IDLE_MS", 0),
			Time:                  e.millis("GRPC_SERVER_KEEPALIVE_TIME_MS", 0),
			Timeout:               e.millis("GRPC_SERVER_KEEPALIVE_TIMEOUT_MS", 0),
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             e.millis("GRPC_SERVER_MIN_PING_INTERVAL_MS", 0),
			PermitWithoutStream: e.flag("GRPC_SERVER_PERMIT_KEEPALIVE_WITHOUT_CALLS"),
		}),
	}
}

// snippet: end

// echoServer answers with the name and the address of its pod.
type echoServer struct {
	echov1.UnimplementedEchoServer
	pod, podIP string // podIP may be empty
	served     *served
	faults     faults
}

// faults are RPCs that a server answers with UNAVAILABLE on purpose: the first ones, and then every nth; 0 for none.
type faults struct{ first, every int64 }

func newFaults(e *env) faults {
	const want = "a whole number of RPCs"
	return faults{
		first: e.number("FAIL_FIRST", 0, math.MaxInt64, want),
		every: e.number("FAIL_EVERY", 0, math.MaxInt64, want),
	}
}

func (f faults) hit(number int64) bool {
	return number <= f.first || f.every > 0 && number%f.every == 0
}

func (s *echoServer) Say(ctx context.Context, req *echov1.SayRequest) (*echov1.SayResponse, error) {
	if number := s.served.count(ctx); s.faults.hit(number) {
		// Without headers: a client's library repeats no RPC that has them.
		return nil, status.Error(codes.Unavailable, "a fault that was asked for")
	}
	header := metadata.Pairs("pod", s.pod)
	if s.podIP != "" {
		header.Set("pod-ip", s.podIP)
	}
	if err := grpc.SetHeader(ctx, header); err != nil {
		return nil, err
	}
	return &echov1.SayResponse{Text: req.GetText(), Pod: s.pod}, nil
}

// runServer serves until ctx ends, and writes how many RPCs came to out. It returns an error if it cannot start, or
// if the listener breaks.
func runServer(ctx context.Context, e *env, out io.Writer) error {
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	pod := e.text("POD_NAME", hostname)
	echo := &echoServer{
		pod:    pod,
		podIP:  e.text("POD_IP", ""),
		served: newServed(pod, out),
		faults: newFaults(e),
	}
	address := e.text("LISTEN", ":5000")
	grace := e.millis("SHUTDOWN_GRACE_MS", 20*time.Second)
	server := grpc.NewServer(serverOptions(e)...)
	if err := e.err(); err != nil {
		return err
	}
	echov1.RegisterEchoServer(server, echo)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	slog.Info("serving", "address", listener.Addr().String(), "pod", echo.pod, "settings", e.set)
	defer echo.served.start()()
	return serve(ctx, server, listener, grace)
}

// serve runs server until ctx ends and then stops it so that no RPC is lost: first the health service says
// NOT_SERVING; then no new connection is taken, each client is told to go elsewhere (GOAWAY), and RPCs in
// flight have the time grace to finish. Only what is left after that is cut off.
func serve(ctx context.Context, server *grpc.Server, listener net.Listener, grace time.Duration) error {
	health := health.NewServer() // SERVING for "", the server as a whole
	health.SetServingStatus(echov1.Echo_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, health)

	context.AfterFunc(ctx, func() {
		health.Shutdown()
		cut := time.AfterFunc(grace, server.Stop)
		defer cut.Stop()
		server.GracefulStop()
	})
	return server.Serve(listener) // returns nil after a stop, once the last RPC has ended
}
