package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // makes healthCheckConfig in a service config work
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver/dns"
	_ "google.golang.org/grpc/xds" // makes xds:/// targets work, once in a program

	"grpcbalance.dev/examples/go/echov1"
)

// snippet: begin

// newChannel makes the one channel to a service with the settings that grpcbalance injects; name is ORDERS in
// GRPC_ORDERS_TARGET. Make it once and share it: a channel for each request would balance nothing.
func newChannel(e *env, name, fallback string) (*grpc.ClientConn, error) {
	v := "GRPC_" + name + "_"
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority(e.text(v+"AUTHORITY", "")), // "": the target's host
	}
	if config := e.text(v+"SERVICE_CONFIG", ""); config != "" { // an empty one is an error to NewClient
		options = append(options, grpc.WithDefaultServiceConfig(config))
	}
	if floor := e.millis(v+"MIN_RESOLUTION_INTERVAL_MS", 0); floor > 0 {
		dns.SetMinResolutionInterval(floor) // for the whole process: with several services, take the least
	}
	ping := keepalive.ClientParameters{
		Time:                e.millis(v+"KEEPALIVE_TIME_MS", 0),
		Timeout:             e.millis(v+"KEEPALIVE_TIMEOUT_MS", 0),
		PermitWithoutStream: e.flag(v + "KEEPALIVE_PERMIT_WITHOUT_CALLS"),
	}
	if ping.Time > 0 { // WithKeepaliveParams would turn 0, "no pings", into a ping each 10 s
		options = append(options, grpc.WithKeepaliveParams(ping))
	}
	return grpc.NewClient(e.text(v+"TARGET", fallback), options...)
}

// snippet: end

// runClient calls the service SERVICE at a steady rate, one RPC at a time, until ctx ends; the RPC then in
// flight is finished and recorded. It writes what record.go describes to out, one line with each Write.
func runClient(ctx context.Context, e *env, out io.Writer) error {
	name, fallback := e.text("SERVICE", ""), e.text("FALLBACK_TARGET", "")
	rate := e.number("RATE", 50, 10_000, "a whole number of RPCs per second, 1 to 10000")
	timeout := e.millis("TIMEOUT_MS", time.Second)
	if target := "GRPC_" + name + "_TARGET"; !regexp.MustCompile(`^[A-Z0-9_]+$`).MatchString(name) {
		e.fail("SERVICE", name, "the NAME in GRPC_<NAME>_TARGET, such as ORDERS")
	} else if e.text(target, fallback) == "" {
		e.fail(target, "", "a target such as dns:///orders:5000, or one in FALLBACK_TARGET")
	}
	conn, err := newChannel(e, name, fallback)
	if e.err() != nil {
		return e.err()
	}
	if err != nil {
		return fmt.Errorf("no channel from GRPC_%s_…: %w", name, err)
	}
	defer conn.Close()

	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(startLine{newStart(e, name, conn.Target(), rate, timeout)}); err != nil {
		return err
	}
	echo := echov1.NewEchoClient(conn)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for ctx.Err() == nil { // asked each time: select takes either when both are ready
		if err := lines.Encode(say(echo, timeout)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}
