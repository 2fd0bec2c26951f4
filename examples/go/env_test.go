package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// fakeEnv is an environment that holds only the given variables.
func fakeEnv(variables map[string]string) *env {
	return newEnv(func(name string) string { return variables[name] })
}

func TestMillis(t *testing.T) {
	const unset = 7 * time.Second
	for _, c := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"", unset, true},
		{"1", time.Millisecond, true},
		{"30000", 30 * time.Second, true},
		{"2147483647", 2147483647 * time.Millisecond, true},
		{"9223372036854", 9223372036854 * time.Millisecond, true},
		{"9223372036855", unset, false}, // would overflow a time.Duration
		{"99999999999999999999", unset, false},
		{"0", unset, false},
		{"-1", unset, false},
		{"30s", unset, false},
		{"1.5", unset, false},
		{"1e3", unset, false},
		{"0x10", unset, false},
		{" 5", unset, false},
		{"1_000", unset, false},
	} {
		e := fakeEnv(map[string]string{"X_MS": c.text})
		if got := e.millis("X_MS", unset); got != c.want || (e.err() == nil) != c.ok {
			t.Errorf("X_MS=%q: got %v and error %v, want %v and ok=%v", c.text, got, e.err(), c.want, c.ok)
		}
	}
}

func TestFlag(t *testing.T) {
	for _, c := range []struct {
		text     string
		want, ok bool
	}{
		{"", false, true}, {"true", true, true}, {"false", false, true},
		{"TRUE", false, false}, {"1", false, false}, {"yes", false, false},
	} {
		e := fakeEnv(map[string]string{"X": c.text})
		if got := e.flag("X"); got != c.want || (e.err() == nil) != c.ok {
			t.Errorf("X=%q: got %v and error %v, want %v and ok=%v", c.text, got, e.err(), c.want, c.ok)
		}
	}
}

func TestErrorsNameVariableValueAndWhatIsExpected(t *testing.T) {
	e := fakeEnv(map[string]string{"A_MS": "5s", "B": "on", "C": "fine"})
	e.millis("A_MS", 0)
	e.flag("B")
	e.text("C", "")
	e.text("D", "")
	want := `A_MS="5s": want a whole number of milliseconds above 0, such as 30000 (leave it unset for the default)` +
		"\n" + `B="on": want true or false`
	if got := e.err().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, d := e.set["D"]; d || e.set["A_MS"] != "5s" || e.set["C"] != "fine" {
		t.Errorf("set = %v, want A_MS, B and C as they were, and no D", e.set)
	}
}

// Each malformed variable must be refused at the start, by its name, and whatever else is set.
func TestMalformedSettingsAreRefused(t *testing.T) {
	client := func(e *env) error { return runClient(ended(t), e, failingWriter{t}) }
	server := func(e *env) error { return runServer(ended(t), e, io.Discard) }
	for _, c := range []struct {
		run         func(*env) error
		name, value string
	}{
		{client, "SERVICE", ""},
		{client, "SERVICE", "orders"},
		{client, "FALLBACK_TARGET", ""},
		{client, "RATE", "0"},
		{client, "RATE", "fast"},
		{client, "TIMEOUT_MS", "0"},
		{client, "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS", "0"},
		{client, "GRPC_ORDERS_KEEPALIVE_TIME_MS", "30s"},
		{client, "GRPC_ORDERS_KEEPALIVE_TIMEOUT_MS", "-5"},
		{client, "GRPC_ORDERS_KEEPALIVE_PERMIT_WITHOUT_CALLS", "1"},
		{server, "SHUTDOWN_GRACE_MS", "0"},
		{server, "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "0"},
		{server, "GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS", "0"},
		{server, "GRPC_SERVER_MAX_CONNECTION_IDLE_MS", "Off"},
		{server, "GRPC_SERVER_KEEPALIVE_TIME_MS", "1m"},
		{server, "GRPC_SERVER_KEEPALIVE_TIMEOUT_MS", "1.5"},
		{server, "GRPC_SERVER_MIN_PING_INTERVAL_MS", "ten"},
		{server, "GRPC_SERVER_PERMIT_KEEPALIVE_WITHOUT_CALLS", "yes"},
	} {
		variables := map[string]string{"SERVICE": "ORDERS", "FALLBACK_TARGET": "localhost:1", "LISTEN": "127.0.0.1:0"}
		variables[c.name] = c.value
		if err := c.run(fakeEnv(variables)); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s=%q: error %v, want one that names the variable", c.name, c.value, err)
		}
	}
}

func TestBadServiceConfigIsRefusedAtTheStart(t *testing.T) {
	e := fakeEnv(map[string]string{
		"SERVICE": "ORDERS", "FALLBACK_TARGET": "localhost:1", "GRPC_ORDERS_SERVICE_CONFIG": "{",
	})
	err := runClient(ended(t), e, failingWriter{t})
	if err == nil || !strings.Contains(err.Error(), "GRPC_ORDERS_") || !strings.Contains(err.Error(), "service config") {
		t.Errorf("error %v, want one that names the variables and the service config", err)
	}
}

// The documentation includes what stands between the two marks, as a thing to copy.
func TestSnippetsAreMarkedAndShort(t *testing.T) {
	for _, file := range []string{"server.go", "client.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, begin := strings.Cut(string(text), "\n// snippet: begin\n")
		snippet, after, end := strings.Cut(rest, "\n// snippet: end\n")
		if !begin || !end || strings.Contains(after, "// snippet:") {
			t.Errorf("%s: want exactly one begin and one end mark, in this order", file)
		}
		if lines := strings.Count(snippet, "\n"); lines < 10 || lines > 30 {
			t.Errorf("%s: the snippet has %d lines, want 10 to 30", file, lines)
		}
	}
}

// ended is a context that stops at once a program that should not have started.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// failingWriter is for programs that must stop before they write anything.
type failingWriter struct{ t *testing.T }

func (w failingWriter) Write(p []byte) (int, error) {
	w.t.Errorf("unexpected output: %s", p)
	return len(p), nil
}
