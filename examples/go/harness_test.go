package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"grpcbalance.dev/examples/go/echov1"
)

const (
	deadline   = 20 * time.Second // for each wait of these tests: far more than any of them needs
	roundRobin = `{"loadBalancingConfig":[{"round_robin":{}}]}`
)

// countingListener counts the connections that it accepted.
type countingListener struct {
	net.Listener
	accepted atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

func listen(t *testing.T, address string) *countingListener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return &countingListener{Listener: listener}
}

// startServer runs an echo server. The function returned stops it as SIGTERM does and waits for its end.
func startServer(t *testing.T, pod string, listener net.Listener, variables map[string]string) func() {
	t.Helper()
	e := fakeEnv(variables)
	server := grpc.NewServer(serverOptions(e)...)
	if e.err() != nil {
		t.Fatal(e.err())
	}
	ip, _, _ := net.SplitHostPort(listener.Addr().String())
	echo := &echoServer{pod: pod, podIP: ip, served: newServed(pod, io.Discard), faults: newFaults(e)}
	echov1.RegisterEchoServer(server, echo)
	return startServing(t, server, listener, deadline)
}

func startServing(t *testing.T, server *grpc.Server, listener net.Listener, grace time.Duration) func() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, server, listener, grace) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		case <-time.After(deadline + 5*time.Second):
			t.Error("the server did not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

// recording is the output of a client that runs in this process.
type recording struct {
	t    *testing.T
	term func() // as SIGTERM does
	stop func() // the same, then wait for the end

	mu    sync.Mutex
	lines []string
	start *start
	rpcs  []rpcLine
}

// Write takes one line, and fails the test unless it is a whole one of the documented form.
func (r *recording) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, string(line))
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		r.t.Errorf("not one line in one write: %q", line)
	}
	if r.start == nil || bytes.HasPrefix(line, []byte(`{"start":`)) { // one for each service
		var first startLine
		if err := decoder.Decode(&first); err != nil {
			r.t.Errorf("first line %s: %v", line, err)
		}
		r.start = &first.Start
		return len(line), nil
	}
	var rpc rpcLine
	if err := decoder.Decode(&rpc); err != nil {
		r.t.Errorf("line %s: %v", line, err)
	}
	r.rpcs = append(r.rpcs, rpc)
	return len(line), nil
}

func (r *recording) snapshot() []rpcLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]rpcLine(nil), r.rpcs...)
}

// waitFor waits until the RPCs after the first `from` ones fulfil the condition, and returns those.
func (r *recording) waitFor(what string, from int, done func([]rpcLine) bool) []rpcLine {
	r.t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if rpcs := r.snapshot(); len(rpcs) >= from && done(rpcs[from:]) {
			return rpcs[from:]
		}
	}
	r.t.Fatalf("waited %v in vain for: %s; last lines: %v", deadline, what, r.lines[max(0, len(r.lines)-3):])
	return nil
}

func startClient(t *testing.T, variables map[string]string) *recording {
	t.Helper()
	all := map[string]string{"SERVICE": "ORDERS", "RATE": "500"}
	for name, value := range variables {
		all[name] = value
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &recording{t: t, term: cancel}
	ended := make(chan error, 1)
	go func() { ended <- runClient(ctx, fakeEnv(all), r) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("runClient: %v", err)
			}
		case <-time.After(deadline):
			t.Error("the client did not stop")
		}
	})
	t.Cleanup(r.stop)
	return r
}

func atLeast(n int) func([]rpcLine) bool { return func(rpcs []rpcLine) bool { return len(rpcs) >= n } }

func seen(pod string) func([]rpcLine) bool {
	return func(rpcs []rpcLine) bool { return countPods(rpcs)[pod] > 0 }
}

func countPods(rpcs []rpcLine) map[string]int {
	counts := map[string]int{}
	for _, rpc := range rpcs {
		counts[rpc.Pod]++
	}
	return counts
}

func checkAllOK(t *testing.T, rpcs []rpcLine) {
	t.Helper()
	for _, rpc := range rpcs {
		if rpc.Code != "OK" || rpc.Err != "" || rpc.Mismatch {
			t.Errorf("want an RPC without error or mismatch, got %+v", rpc)
		}
	}
}

// fixedTarget is a target that resolves to exactly these addresses.
func fixedTarget(t *testing.T, listeners ...net.Listener) string {
	builder := manual.NewBuilderWithScheme("test-" + strings.ToLower(t.Name()))
	var state resolver.State
	for _, l := range listeners {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: l.Addr().String()})
	}
	builder.InitialState(state)
	resolver.Register(builder)
	return builder.Scheme() + ":///orders"
}
