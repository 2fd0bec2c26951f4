package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"google.golang.org/grpc/metadata"
)

func TestServedCountsAttemptsAndRetries(t *testing.T) {
	var out bytes.Buffer
	s := newServed("orders-1", &out)
	again := metadata.NewIncomingContext(t.Context(), metadata.Pairs("grpc-previous-rpc-attempts", "1"))
	for _, ctx := range []context.Context{t.Context(), again, t.Context()} {
		s.count(ctx)
	}
	s.start()()
	var line servedLine
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %q", err, out.String())
	}
	if got := line.Served; got.Pod != "orders-1" || got.Attempts != 3 || got.Retries != 1 || got.Time.IsZero() {
		t.Errorf("served: %+v", got)
	}
}

func TestFaultsAreTheFirstAndThenEveryNth(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	startServer(t, "orders-1", listener, map[string]string{"FAIL_FIRST": "2", "FAIL_EVERY": "5"})
	client := startClient(t, map[string]string{"GRPC_ORDERS_TARGET": listener.Addr().String()})
	rpcs := client.waitFor("11 RPCs", 0, func(rpcs []rpcLine) bool { return len(rpcs) >= 11 })
	for i, rpc := range rpcs[:11] {
		number := i + 1
		fails := number <= 2 || number%5 == 0
		if (rpc.Code != "OK") != fails || fails && rpc.Code != "UNAVAILABLE" {
			t.Errorf("RPC %d: %+v", number, rpc)
		}
	}
}

func TestServicesAreCalledInTurn(t *testing.T) {
	first, second := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	startServer(t, "orders-1", first, nil)
	startServer(t, "payments-1", second, nil)
	client := startClient(t, map[string]string{
		"SERVICE":              "ORDERS,PAYMENTS,ORDERS",
		"GRPC_ORDERS_TARGET":   first.Addr().String(),
		"GRPC_PAYMENTS_TARGET": second.Addr().String(),
		"INTERVAL_MS":          "20",
		"IDLE_TIMEOUT_MS":      "1000",
	})
	rpcs := client.waitFor("6 RPCs", 0, func(rpcs []rpcLine) bool { return len(rpcs) >= 6 })
	for i, want := range []string{"orders-1", "payments-1", "orders-1", "orders-1", "payments-1", "orders-1"} {
		if rpcs[i].Pod != want {
			t.Errorf("RPC %d: %+v, want one of %s", i, rpcs[i], want)
		}
	}
}
