// Command probe is what the lab's own tests run in pods: "serve" answers with the pod's name on port 8080, "get URL"
// prints what a server answers and asks until one does, "resolve NAME" prints the addresses behind a name, sorted.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve()
	case len(args) == 2 && args[0] == "get":
		return get(ctx, args[1])
	case len(args) == 2 && args[0] == "resolve":
		found, err := net.DefaultResolver.LookupHost(ctx, args[1])
		slices.Sort(found)
		fmt.Println(strings.Join(found, " "))
		return err
	}
	return fmt.Errorf("usage: probe serve | get URL | resolve NAME")
}

func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	fmt.Println("serving as", name)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	return http.ListenAndServe(":8080", handler)
}

func get(ctx context.Context, url string) error {
	for {
		err := ask(ctx, url)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// A name or an address that is new takes a moment to be known everywhere.
		time.Sleep(50 * time.Millisecond)
	}
}

func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}
