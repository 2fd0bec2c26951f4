package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	listeners = "type.googleapis.com/envoy.config.listener.v3.Listener"
	clusters  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	endpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
)

var prefix = []byte("10.250.")

// stream is one client. Receipts are kept in memory until the end: writing them would take part in what is measured.
type stream struct {
	first  func() // called when the first endpoints are there
	newest int    // number of the last change that it has
	mu     sync.Mutex
	seen   []receipt
}

// receipt is one response with endpoints: the number of the change in it, and when it came (Unix time, seconds).
type receipt struct {
	Change int     `json:"n"`
	Time   float64 `json:"t"`
}

// run connects, asks, and reads until ctx ends or the stream breaks; with reconnect it does so again and again.
func (s *stream) run(ctx context.Context, c *crowd, number int) error {
	conn, err := grpc.NewClient(
		c.target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithSharedWriteBuffer(true), // of thousands of them
	)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		err := s.ask(ctx, c, conn, number)
		if !c.reconnect || ctx.Err() != nil {
			return err
		}
		// All of them have lost the same server. For a connection that cannot be made gRPC itself waits, longer each time.
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(time.Second)):
		}
	}
}

// ask is one stream.
func (s *stream) ask(ctx context.Context, c *crowd, conn *grpc.ClientConn, number int) error {
	client := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	ads, err := client.StreamAggregatedResources(ctx, grpc.WaitForReady(c.reconnect))
	if err != nil {
		return err
	}
	first := c.request(listeners)
	first.Node = &corev3.Node{
		Id:                   "bench-" + strconv.Itoa(number),
		UserAgentName:        "gRPC Go",
		UserAgentVersionType: &corev3.Node_UserAgentVersion{UserAgentVersion: grpc.Version},
	}
	if err := ads.Send(first); err != nil {
		return err
	}
	return s.converse(c, ads)
}

func (c *crowd) request(kind string) *discoveryv3.DiscoveryRequest {
	return &discoveryv3.DiscoveryRequest{TypeUrl: kind, ResourceNames: []string{c.name}}
}

// converse accepts whatever comes, and asks for each kind once the kind that points to it is there.
func (s *stream) converse(c *crowd, ads grpc.BidiStreamingClient[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]) error {
	next := map[string]string{listeners: clusters, clusters: endpoints}
	for {
		response, err := ads.Recv()
		if err != nil {
			return err
		}
		now := time.Now()
		if response.TypeUrl == endpoints {
			if err := s.take(c, response, now); err != nil {
				return err
			}
		}
		answer := c.request(response.TypeUrl)
		answer.VersionInfo, answer.ResponseNonce = response.VersionInfo, response.Nonce
		if err := ads.Send(answer); err != nil {
			return err
		}
		if kind := next[response.TypeUrl]; kind != "" {
			delete(next, response.TypeUrl)
			if err := ads.Send(c.request(kind)); err != nil {
				return err
			}
		}
	}
}

// take keeps when a response came, and counts the stream among those that have its change.
func (s *stream) take(c *crowd, response *discoveryv3.DiscoveryResponse, now time.Time) error {
	if len(response.Resources) != 1 {
		return fmt.Errorf("%d resources in a response with endpoints", len(response.Resources))
	}
	change, err := changeIn(response.Resources[0].Value)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.seen = append(s.seen, receipt{change, float64(now.UnixNano()) / 1e9})
	s.mu.Unlock()
	s.first()
	for ; s.newest < change && s.newest+1 < len(c.have); s.newest++ {
		c.have[s.newest+1].Add(1)
	}
	return nil
}

// taken is what came so far.
func (s *stream) taken() []receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]receipt{}, s.seen...)
}

// changeIn is the number in the bytes of endpoints. Before a string of protobuf stands its length, in one byte here.
func changeIn(body []byte) (int, error) {
	at := bytes.Index(body, prefix)
	if at < 1 || at+int(body[at-1]) > len(body) {
		return 0, fmt.Errorf("no address begins with %s in %d bytes of endpoints", prefix, len(body))
	}
	var high, low int
	text := string(body[at+len(prefix) : at+int(body[at-1])])
	if _, err := fmt.Sscanf(text, "%d.%d", &high, &low); err != nil {
		return 0, fmt.Errorf("address %s%s: %w", prefix, text, err)
	}
	return high<<8 | low, nil
}
