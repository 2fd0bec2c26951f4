// Command app is a gRPC echo server and its client, in one binary. Both take their connection settings from
// the environment variables that grpcbalance injects, and work the same without any of them.
//
//	app server
//	app client
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) != 2 {
		usage()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	e := newEnv(os.Getenv)

	var err error
	switch os.Args[1] {
	case "server":
		err = runServer(ctx, e, os.Stdout)
	case "client":
		err = runClient(ctx, e, os.Stdout)
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: app server | app client   (settings come from environment variables)")
	os.Exit(2)
}
