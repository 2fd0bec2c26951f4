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
