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
	next := func(context.Context, any) (any, error) { return nil, nil }
	again := metadata.NewIncomingContext(t.Context(), metadata.Pairs("grpc-previous-rpc-attempts", "1"))
	for _, ctx := range []context.Context{t.Context(), again, t.Context()} {
		if _, err := s.count(ctx, nil, nil, next); err != nil {
			t.Fatal(err)
		}
	}
	s.start()()
	var line servedLine
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %q", err, out.String())
	}
	if got := line.Served; got.Pod != "orders-1" || got.Attempts != 3 || got.Retries != 1 || got.Time.IsZero() {
		t.Errorf("served: %+v", got)
	}
	out.Reset()
	if s.start()(); out.Len() != 0 {
		t.Errorf("nothing came, and yet: %q", out.String())
	}
}
