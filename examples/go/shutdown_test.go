package main

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"grpcbalance.dev/examples/go/echov1"
)

func TestGracefulStopLosesNoRPC(t *testing.T) {
	stays, goes := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	startServer(t, "stays", stays, nil)
	stop := startServer(t, "goes", goes, nil)
	client := startClient(t, map[string]string{
		"GRPC_ORDERS_TARGET": fixedTarget(t, stays, goes), "GRPC_ORDERS_SERVICE_CONFIG": roundRobin,
	})
	client.waitFor("an RPC on the pod that goes", 0, seen("goes"))
	client.waitFor("an RPC on the pod that stays", 0, seen("stays"))
	stop()
	from := len(client.snapshot()) + 1 // one RPC may have ended while its line was not written yet
	after := client.waitFor("100 RPCs after the stop", from, atLeast(100))
	client.stop()

	checkAllOK(t, client.snapshot())
	if n := countPods(after)["goes"]; n != 0 {
		t.Errorf("%d RPCs on a pod that had stopped", n)
	}
}

// A health watch never ends by itself. It must not use up the grace period.
func TestHealthWatchDoesNotDelayTheStop(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	stop := startServer(t, "a", listener, nil)
	client := startClient(t, map[string]string{
		"GRPC_ORDERS_TARGET":         fixedTarget(t, listener),
		"GRPC_ORDERS_SERVICE_CONFIG": `{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":"grpcbalance.echo.v1.Echo"}}`,
	})
	client.waitFor("an RPC", 0, seen("a"))
	began := time.Now()
	stop()
	if took := time.Since(began); took > deadline/2 {
		t.Errorf("the stop took %v of a grace period of %v", took, deadline)
	}
}

// slowEcho keeps each RPC in flight until release is closed, or the RPC is cut off.
type slowEcho struct {
	echov1.UnimplementedEchoServer
	arrived, release chan struct{}
}

func (s *slowEcho) Say(ctx context.Context, req *echov1.SayRequest) (*echov1.SayResponse, error) {
	close(s.arrived)
	select {
	case <-s.release:
	case <-ctx.Done():
	}
	return &echov1.SayResponse{Text: req.GetText()}, nil
}

// slowCall starts a server with the grace period and an RPC that is in flight there.
func slowCall(t *testing.T, grace time.Duration) (echo *slowEcho, conn *grpc.ClientConn, stop func(), result chan error) {
	echo = &slowEcho{arrived: make(chan struct{}), release: make(chan struct{})}
	server := grpc.NewServer()
	echov1.RegisterEchoServer(server, echo)
	listener := listen(t, "127.0.0.1:0")
	stop = startServing(t, server, listener, grace)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	result = make(chan error, 1)
	go func() {
		_, err := echov1.NewEchoClient(conn).Say(t.Context(), &echov1.SayRequest{Text: "slow"})
		result <- err
	}()
	select {
	case <-echo.arrived:
	case <-time.After(deadline):
		t.Fatal("the RPC did not arrive")
	}
	return echo, conn, stop, result
}

func TestStopSaysNotServingAndWaitsForTheRPCInFlight(t *testing.T) {
	echo, conn, stop, result := slowCall(t, deadline)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	watch, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Fatalf("health is %v (%v), want %v", got, err, want)
		}
	}
	expect(healthpb.HealthCheckResponse_SERVING)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	expect(healthpb.HealthCheckResponse_NOT_SERVING)
	select {
	case <-stopped:
		t.Fatal("the server stopped under an RPC in flight")
	case err := <-result:
		t.Fatalf("the RPC in flight ended early: %v", err)
	default:
	}
	close(echo.release)
	if err := <-result; err != nil {
		t.Errorf("the RPC in flight failed: %v", err)
	}
	cancel() // ends the watch, the last RPC of this connection
	<-stopped
}

func TestGracePeriodBoundsTheStop(t *testing.T) {
	const grace = 50 * time.Millisecond
	_, _, stop, result := slowCall(t, grace)
	began := time.Now()
	stop()
	if took := time.Since(began); took < grace || took > deadline/2 {
		t.Errorf("the stop took %v, want the grace period of %v and little more", took, grace)
	}
	if err := <-result; status.Code(err) != codes.Unavailable {
		t.Errorf("the RPC that outlived the grace period: %v, want Unavailable", err)
	}
}

// The client answers SIGTERM after the RPC in flight, which is finished and recorded.
func TestClientFinishesTheRPCInFlight(t *testing.T) {
	echo := &slowEcho{arrived: make(chan struct{}), release: make(chan struct{})}
	server := grpc.NewServer()
	echov1.RegisterEchoServer(server, echo)
	listener := listen(t, "127.0.0.1:0")
	startServing(t, server, listener, deadline)
	client := startClient(t, map[string]string{
		"FALLBACK_TARGET": listener.Addr().String(), "TIMEOUT_MS": "20000",
	})
	<-echo.arrived
	client.term()
	close(echo.release)
	client.stop()
	if rpcs := client.snapshot(); len(rpcs) != 1 || rpcs[0].Code != "OK" {
		t.Errorf("want the record of one good RPC, got %+v", rpcs)
	}
}
