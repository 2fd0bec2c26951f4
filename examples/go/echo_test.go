package main

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver/dns"
)

// Nothing of grpcbalance is set: library defaults, the fallback target, one connection.
func TestWithNothingInjected(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	startServer(t, "orders-1", listener, nil)
	fallback := "dns:///" + listener.Addr().String()
	before := time.Now()
	client := startClient(t, map[string]string{"FALLBACK_TARGET": fallback, "RATE": "200"})
	client.waitFor("100 RPCs", 0, atLeast(100))
	client.stop()

	rpcs := client.snapshot()
	checkAllOK(t, rpcs)
	if s := client.start; s.Target != fallback || s.ServiceConfig != "" || s.Rate != 200 || s.TimeoutMillis != 1000 ||
		len(s.Settings) != 3 || s.Settings["RATE"] != "200" || s.GRPC != grpc.Version {
		t.Errorf("start line: %+v", s)
	}
	last := before
	for _, rpc := range rpcs {
		if rpc.Pod != "orders-1" || rpc.Peer != listener.Addr().String() || rpc.Millis <= 0 || !rpc.Time.After(last) {
			t.Errorf("after %v: %+v", last, rpc)
		}
		last = rpc.Time
	}
	if got, took := len(rpcs), last.Sub(before).Seconds(); float64(got) > 200*took+2 {
		t.Errorf("%d RPCs in %.2f s, want at most 200 a second", got, took)
	}
	if got := listener.accepted.Load(); got != 1 {
		t.Errorf("%d connections, want 1 for a channel to a server without a maximum age", got)
	}
}

func TestRecordLineOfAnOKAndOfAFailedRPC(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	stop := startServer(t, "orders-1", listener, nil)
	client := startClient(t, map[string]string{"FALLBACK_TARGET": listener.Addr().String()})
	client.waitFor("an RPC", 0, atLeast(1))
	stop()
	client.waitFor("a failed RPC", 0, func(rpcs []rpcLine) bool { return rpcs[len(rpcs)-1].Code != "OK" })
	client.stop()

	var ok, failed map[string]any
	lines := client.lines
	if err := errors.Join(json.Unmarshal([]byte(lines[1]), &ok), json.Unmarshal([]byte(lines[len(lines)-1]), &failed)); err != nil {
		t.Fatal(err)
	}
	if ok["code"] != "OK" || ok["pod"] != "orders-1" || ok["err"] != nil || ok["mismatch"] != nil {
		t.Errorf("line of a good RPC: %s", lines[1])
	}
	if text, _ := failed["err"].(string); failed["code"] != "UNAVAILABLE" || failed["pod"] != "" || text == "" {
		t.Errorf("line of a failed RPC: %s", lines[len(lines)-1])
	}
}

// Everything a client can be given at once: it must still work, and say in its first line what it took.
func TestInjectedSettingsSpreadRPCsEvenly(t *testing.T) {
	one, two, three := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	for pod, l := range map[string]*countingListener{"a": one, "b": two, "c": three} {
		startServer(t, pod, l, map[string]string{
			"GRPC_SERVER_MAX_CONNECTION_AGE_MS":          "300000",
			"GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS":    "30000",
			"GRPC_SERVER_MAX_CONNECTION_IDLE_MS":         "300000",
			"GRPC_SERVER_KEEPALIVE_TIME_MS":              "60000",
			"GRPC_SERVER_KEEPALIVE_TIMEOUT_MS":           "20000",
			"GRPC_SERVER_MIN_PING_INTERVAL_MS":           "10000",
			"GRPC_SERVER_PERMIT_KEEPALIVE_WITHOUT_CALLS": "true",
		})
	}
	t.Cleanup(func() { dns.SetMinResolutionInterval(30 * time.Second) })
	variables := map[string]string{
		"GRPC_ORDERS_TARGET":                         fixedTarget(t, one, two, three),
		"GRPC_ORDERS_AUTHORITY":                      "orders.shop.svc",
		"GRPC_ORDERS_SERVICE_CONFIG":                 `{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}}`,
		"GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS":     "10000",
		"GRPC_ORDERS_KEEPALIVE_TIME_MS":              "30000",
		"GRPC_ORDERS_KEEPALIVE_TIMEOUT_MS":           "10000",
		"GRPC_ORDERS_KEEPALIVE_PERMIT_WITHOUT_CALLS": "true",
		"FALLBACK_TARGET":                            "localhost:1",
	}
	client := startClient(t, variables)
	// Connections come up one after the other; even spread is promised from the first RPC to the last pod on.
	all := func(rpcs []rpcLine) bool { return len(countPods(rpcs)) == 3 }
	from := len(client.waitFor("an RPC on each pod", 0, all))
	rpcs := client.waitFor("300 more RPCs", from, atLeast(300))[:300]
	client.stop()

	checkAllOK(t, client.snapshot())
	for pod, n := range countPods(rpcs) {
		if n != 100 {
			t.Errorf("pod %s had %d of 300 RPCs, want 100", pod, n)
		}
	}
	for name, value := range variables {
		if client.start.Settings[name] != value {
			t.Errorf("start line: %s=%q, want %q", name, client.start.Settings[name], value)
		}
	}
	if s := client.start; s.Target != variables["GRPC_ORDERS_TARGET"] || s.Authority != "orders.shop.svc" ||
		s.ServiceConfig != variables["GRPC_ORDERS_SERVICE_CONFIG"] {
		t.Errorf("start line: %+v", s)
	}
}

func TestMismatch(t *testing.T) {
	for _, c := range []struct {
		podIP, peer string
		want        bool
	}{
		{"10.0.0.1", "10.0.0.1:5000", false},
		{"10.0.0.1", "10.0.0.2:5000", true},
		{"", "10.0.0.2:5000", false},
		{"fd00::1", "[fd00:0::1]:5000", false},
		{"fd00::1", "[fd00::2]:5000", true},
		{"10.0.0.1", "pipe", true},
	} {
		if got := differ(c.podIP, c.peer); got != c.want {
			t.Errorf("pod-ip %q, peer %q: mismatch %v, want %v", c.podIP, c.peer, got, c.want)
		}
	}
}
