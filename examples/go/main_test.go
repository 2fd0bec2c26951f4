package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const runAsApp = "TEST_RUN_AS_APP"

// TestMain lets the test binary stand for the program itself, for the tests that need a real process.
func TestMain(m *testing.M) {
	if os.Getenv(runAsApp) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func app(t *testing.T, argument string, variables ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline) // so that nothing waits for it for ever
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], strings.Fields(argument)...)
	cmd.Env = append(variables, runAsApp+"=1")
	return cmd
}

// startApp starts the program and returns a reader of the lines of one of its outputs.
func startApp(t *testing.T, cmd *exec.Cmd, stderr bool) *bufio.Scanner {
	t.Helper()
	pipe := cmd.StdoutPipe
	if stderr {
		pipe = cmd.StderrPipe
	}
	out, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(out)
}

func TestProcessesEndCleanlyOnSIGTERM(t *testing.T) {
	server := app(t, "server", "LISTEN=127.0.0.1:0", "POD_NAME=orders-7", "POD_IP=10.1.2.3")
	log := startApp(t, server, true)
	log.Scan()
	address := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(log.Text())
	if address == nil {
		t.Fatalf("no address in the server's first line: %q", log.Text())
	}
	client := app(t, "client", "SERVICE=ORDERS", "FALLBACK_TARGET="+address[1])
	lines := startApp(t, client, false)
	var count int
	var rpc rpcLine
	for lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &rpc); err != nil {
			t.Errorf("not a whole JSON object: %q", lines.Text())
		}
		if count++; count == 10 {
			if err := client.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rpc.Pod != "orders-7" || rpc.Peer != address[1] || rpc.Code != "OK" || !rpc.Mismatch {
		t.Errorf("last line: %+v, want orders-7, and a mismatch of 10.1.2.3 and %s", rpc, address[1])
	}
	if err := client.Wait(); err != nil || count < 10 {
		t.Errorf("client after %d lines: %v", count, err)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for log.Scan() { // until the server closes its output
	}
	if err := server.Wait(); err != nil {
		t.Errorf("server: %v", err)
	}
}

func TestExitCodesAndMessages(t *testing.T) {
	for _, c := range []struct {
		argument, variable string
		code               int
		message            string
	}{
		{"", "", 2, "usage: "},
		{"serve", "", 2, "usage: "},
		{"client server", "", 2, "usage: "},
		{"server", "GRPC_SERVER_KEEPALIVE_TIME_MS=1m", 1, `GRPC_SERVER_KEEPALIVE_TIME_MS="1m": want a whole number of milliseconds`},
		{"server", "LISTEN=nowhere", 1, "nowhere"},
		{"client", "SERVICE=", 1, `SERVICE="": want the NAME`},
		{"client", "SERVICE=ORDERS", 1, `GRPC_ORDERS_TARGET="": want a target`},
	} {
		cmd := app(t, c.argument, c.variable)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run() // its error is the exit code below
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(stderr.String(), c.message) {
			t.Errorf("app %s with %s: exit code %d, want %d; message %q, want %q",
				c.argument, c.variable, code, c.code, stderr.String(), c.message)
		}
	}
}
