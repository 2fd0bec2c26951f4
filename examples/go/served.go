package main

import (
	"context"
	"encoding/json"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
)

// served counts the RPCs that reach a server, and says so on a stream of JSON lines.
type served struct {
	pod               string
	out               *json.Encoder
	attempts, retries atomic.Int64
	told              int64 // attempts in the last line
}

type servedLine struct {
	Served servedCounts `json:"served"`
}

type servedCounts struct {
	Time     time.Time `json:"t"`
	Pod      string    `json:"pod"`
	Attempts int64     `json:"attempts"` // since the start
	Retries  int64     `json:"retries"`  // those that the client's library marked as a repetition
}

func newServed(pod string, out io.Writer) *served {
	return &served{pod: pod, out: json.NewEncoder(out)}
}

// count takes note of an RPC, and answers with its number, from 1 on.
func (s *served) count(ctx context.Context) int64 {
	if len(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts")) > 0 {
		s.retries.Add(1)
	}
	return s.attempts.Add(1)
}

// start begins to write a line each second in which RPCs arrived; the function returned writes the last one.
func (s *served) start() (stop func()) {
	tick, done, told := time.NewTicker(time.Second), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		for {
			select {
			case <-done:
				s.line()
				return
			case <-tick.C:
				if s.attempts.Load() > s.told {
					s.line()
				}
			}
		}
	}()
	return func() {
		tick.Stop()
		close(done)
		<-told
	}
}

func (s *served) line() {
	s.told = s.attempts.Load()
	_ = s.out.Encode(servedLine{servedCounts{time.Now().UTC(), s.pod, s.told, s.retries.Load()}})
}
