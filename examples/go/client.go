package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
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
func newChannel(e *env, name, fallback string, more ...grpc.DialOption) (*grpc.ClientConn, error) {
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
	return grpc.NewClient(e.text(v+"TARGET", fallback), append(options, more...)...)
}

// snippet: end

// callerSettings is how the client calls.
type callerSettings struct {
	services      []string // those of SERVICE; one may stand there twice
	fallback      string
	rate          int64
	interval      time.Duration
	timeout, idle time.Duration // idle: 0 for the library's default
}

func newCallerSettings(e *env) callerSettings {
	s := callerSettings{
		services: strings.Split(e.text("SERVICE", ""), ","),
		fallback: e.text("FALLBACK_TARGET", ""),
		rate:     e.number("RATE", 50, 10_000, "a whole number of RPCs per second, 1 to 10000"),
		timeout:  e.millis("TIMEOUT_MS", time.Second),
		idle:     e.millis("IDLE_TIMEOUT_MS", 0),
	}
	s.interval = e.millis("INTERVAL_MS", 0)
	if s.interval == 0 {
		s.interval = time.Second / time.Duration(s.rate)
	}
	for _, name := range s.services {
		if target := "GRPC_" + name + "_TARGET"; !regexp.MustCompile(`^[A-Z0-9_]+$`).MatchString(name) {
			e.fail("SERVICE", e.text("SERVICE", ""), "the NAME in GRPC_<NAME>_TARGET, such as ORDERS, or several: ORDERS,PAYMENTS")
		} else if e.text(target, s.fallback) == "" {
			e.fail(target, "", "a target such as dns:///orders:5000, or one in FALLBACK_TARGET")
		}
	}
	return s
}

// runClient calls each service of SERVICE in turn, over a channel of its own, at a steady rate, one RPC at a time,
// until ctx ends; the RPC then in flight is finished and recorded. It writes what record.go describes to out, one
// line with each Write.
func runClient(ctx context.Context, e *env, out io.Writer) error {
	settings := newCallerSettings(e)
	conns, err := openChannels(e, settings)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	var echoes []echov1.EchoClient
	for i, conn := range conns {
		defer conn.Close()
		echoes = append(echoes, echov1.NewEchoClient(conn))
		first := newStart(e, settings.services[i], conn.Target(), settings.rate, settings.timeout)
		if err := lines.Encode(startLine{first}); err != nil {
			return err
		}
	}
	tick := time.NewTicker(settings.interval)
	defer tick.Stop()
	for turn := 0; ctx.Err() == nil; turn++ { // asked each time: select takes either when both are ready
		if err := lines.Encode(say(echoes[turn%len(echoes)], settings.timeout)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// openChannels makes a channel for each service. What is malformed in a variable comes before what a library says of it.
func openChannels(e *env, settings callerSettings) ([]*grpc.ClientConn, error) {
	var more []grpc.DialOption
	if settings.idle > 0 {
		more = append(more, grpc.WithIdleTimeout(settings.idle))
	}
	var conns []*grpc.ClientConn
	var errs []error
	for _, name := range settings.services {
		conn, err := newChannel(e, name, settings.fallback, more...)
		if err != nil {
			errs = append(errs, fmt.Errorf("no channel from GRPC_%s_…: %w", name, err))
		}
		conns = append(conns, conn)
	}
	if e.err() != nil {
		return nil, e.err()
	}
	return conns, errors.Join(errs...)
}
