package main

import (
	"context"
	"net"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"grpcbalance.dev/examples/go/echov1"
)

// The client's record is a stream of JSON objects, one a line: a startLine, then an rpcLine for each RPC.

// startLine is the first line: what the client was told, and what it made of it.
type startLine struct {
	Start start `json:"start"`
}

type start struct {
	Time          time.Time         `json:"t"`
	Service       string            `json:"service"`
	Target        string            `json:"target"`
	Authority     string            `json:"authority"`      // "" if none was set
	ServiceConfig string            `json:"service_config"` // JSON text; "" if none was set
	Rate          int64             `json:"rate"`           // RPCs per second
	TimeoutMillis int64             `json:"timeout_ms"`     // deadline of each RPC
	Settings      map[string]string `json:"settings"`       // each variable that was set, as it was
	GRPC          string            `json:"grpc"`           // the library's version
}

// rpcLine is one RPC.
type rpcLine struct {
	Time     time.Time `json:"t"`   // start, UTC
	Millis   float64   `json:"ms"`  // latency
	Pod      string    `json:"pod"` // from the reply header; "" if no reply came
	Peer     string    `json:"peer"`
	Code     string    `json:"code"`               // canonical name: OK, UNAVAILABLE, DEADLINE_EXCEEDED, …
	Err      string    `json:"err,omitempty"`      // message of a failed RPC
	Mismatch bool      `json:"mismatch,omitempty"` // the reply came from a pod with another address than peer's
}

func newStart(e *env, service, target string, rate int64, timeout time.Duration) start {
	v := "GRPC_" + service + "_"
	return start{
		Time:          time.Now().UTC(),
		Service:       service,
		Target:        target,
		Authority:     e.set[v+"AUTHORITY"],
		ServiceConfig: e.set[v+"SERVICE_CONFIG"],
		Rate:          rate,
		TimeoutMillis: timeout.Milliseconds(),
		Settings:      e.set,
		GRPC:          grpc.Version,
	}
}

// say makes one RPC and reports what came of it. A failure is part of the report.
func say(echo echov1.EchoClient, timeout time.Duration) rpcLine {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var header metadata.MD
	var from peer.Peer
	start := time.Now()
	_, err := echo.Say(ctx, &echov1.SayRequest{Text: "hello"}, grpc.Header(&header), grpc.Peer(&from))
	line := rpcLine{
		Time:   start.UTC(),
		Millis: float64(time.Since(start).Microseconds()) / 1000,
		Pod:    first(header["pod"]),
		Code:   code.Code(status.Code(err)).String(),
	}
	if from.Addr != nil {
		line.Peer = from.Addr.String()
		line.Mismatch = differ(first(header["pod-ip"]), line.Peer)
	}
	if err != nil {
		line.Err = status.Convert(err).Message()
	}
	return line
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// differ tells whether the pod's own address is known and not the one that the connection goes to.
func differ(podIP, peer string) bool {
	host, _, err := net.SplitHostPort(peer)
	return podIP != "" && (err != nil || !net.ParseIP(podIP).Equal(net.ParseIP(host)))
}
