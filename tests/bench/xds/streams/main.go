// Command app holds many ADS streams open, each on a connection of its own, as so many gRPC clients would, and
// records when each of them gets to know of a change of the endpoints of one service.
//
// A change tells its number by an address among the endpoints, 10.250.<number / 256>.<number % 256>. It looks for
// that in the bytes, and decodes no endpoints: it has to leave the machine to the server that is measured.
//
// It writes JSON lines: {"ready":…} when all streams have the first endpoints, {"complete":…} when all have a change,
// and at its end a {"stream":…} for each and {"end":…}.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	target, name    string
	streams, last   int
	reconnect       bool
	settle, timeout time.Duration
}

// crowd is all streams. Of each change it counts those that have it, or a later one.
type crowd struct {
	options
	streams []stream
	have    []atomic.Int64
	failed  chan error
	lines   *json.Encoder
}

func main() {
	var o options
	flag.StringVar(&o.target, "target", "", "where the server is: any target of gRPC")
	flag.StringVar(&o.name, "name", "", "the service, as in xds:///<name>")
	flag.IntVar(&o.streams, "streams", 100, "number of streams")
	flag.IntVar(&o.last, "changes", 20, "number of the last change")
	flag.BoolVar(&o.reconnect, "reconnect", false, "begin a stream that broke anew, as gRPC clients do, instead of ending")
	flag.DurationVar(&o.settle, "settle", time.Second, "how long to listen after that for what should not come")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Minute, "when to end in any case")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o options) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	c := &crowd{
		options: o,
		streams: make([]stream, o.streams),
		have:    make([]atomic.Int64, o.last+1),
		failed:  make(chan error, o.streams),
		lines:   json.NewEncoder(os.Stdout),
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	return c.listen(ctx)
}

// connect starts all streams, a few at a time, and waits until each has its first endpoints.
func (c *crowd) connect(ctx context.Context) error {
	begun := time.Now()
	var starting sync.WaitGroup
	turns := make(chan struct{}, 64)
	for i := range c.streams {
		turns <- struct{}{}
		starting.Add(1)
		c.streams[i].first = sync.OnceFunc(func() {
			<-turns
			starting.Done()
		})
		go func() {
			defer c.streams[i].first()
			if err := c.streams[i].run(ctx, c, i); err != nil && ctx.Err() == nil {
				c.failed <- fmt.Errorf("stream %d: %w", i, err)
			}
		}()
	}
	starting.Wait()
	select {
	case err := <-c.failed:
		return err
	default:
	}
	return c.lines.Encode(map[string]any{"ready": len(c.streams), "seconds": time.Since(begun).Seconds()})
}

// listen tells of each change that all have, and at the end of everything.
func (c *crowd) listen(ctx context.Context) error {
	before := cpu()
	var err error
	for change := 1; change <= c.last && err == nil; {
		select {
		case err = <-c.failed:
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(5 * time.Millisecond):
			for ; change <= c.last && c.have[change].Load() >= int64(len(c.streams)); change++ {
				if err := c.lines.Encode(map[string]any{"complete": change}); err != nil {
					return err
				}
			}
		}
	}
	time.Sleep(c.settle)
	end := map[string]any{"cpu": cpu() - before, "error": ""}
	if err != nil {
		end["error"] = err.Error()
	}
	for i := range c.streams {
		if err := c.lines.Encode(map[string]any{"stream": i, "seen": c.streams[i].taken()}); err != nil {
			return err
		}
	}
	return c.lines.Encode(map[string]any{"end": end})
}

// cpu is the CPU time of this process so far, in seconds.
func cpu() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}
