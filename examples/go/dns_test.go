package main

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc/resolver/dns"
)

// nameServer answers for the one name orders.test. with whatever addresses are current.
type nameServer struct {
	conn      net.PacketConn
	mu        sync.Mutex
	addresses [][4]byte
}

func startNameServer(t *testing.T) *nameServer {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &nameServer{conn: conn}
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply := s.answer(buffer[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, from) // a lost answer is asked for again
			}
		}
	}()
	return s
}

func (s *nameServer) set(addresses ...[4]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses = addresses
}

func (s *nameServer) answer(query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true},
		Questions: m.Questions,
	}
	if q.Name.String() != "orders.test." {
		reply.RCode = dnsmessage.RCodeNameError
	} else if q.Type == dnsmessage.TypeA {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, address := range s.addresses {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: address},
			})
		}
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// The promise to a running client, by the means that it has in a cluster: a name with several addresses, a
// maximum age on the servers, a resolution floor below the library's 30 s.
func TestNewPodIsNoticedAndOldPodIsDropped(t *testing.T) {
	t.Cleanup(func() { dns.SetMinResolutionInterval(30 * time.Second) })
	first := listen(t, "127.0.0.1:0")
	second := listen(t, strings.Replace(first.Addr().String(), "127.0.0.1", "127.0.0.2", 1))
	age := map[string]string{"GRPC_SERVER_MAX_CONNECTION_AGE_MS": "200"}
	stop := startServer(t, "first", first, age)
	startServer(t, "second", second, age)
	names := startNameServer(t)
	names.set([4]byte{127, 0, 0, 1})
	_, port, _ := net.SplitHostPort(first.Addr().String())
	client := startClient(t, map[string]string{
		"GRPC_ORDERS_TARGET":                     fmt.Sprintf("dns://%s/orders.test.:%s", names.conn.LocalAddr(), port),
		"GRPC_ORDERS_SERVICE_CONFIG":             roundRobin,
		"GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS": "100",
	})
	client.waitFor("an RPC on the first pod", 0, seen("first"))
	aged := func([]rpcLine) bool { return first.accepted.Load() >= 3 }
	if rpcs := client.waitFor("two connections past their age", 0, aged); seen("second")(rpcs) {
		t.Error("an RPC on a pod that has no address record")
	}

	names.set([4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2})
	added := time.Now()
	client.waitFor("an RPC on the new pod", 0, seen("second"))
	if took := time.Since(added); took > 10*time.Second {
		t.Errorf("the new pod was found after %v: the floor of 100 ms is not in force", took)
	}

	names.set([4]byte{127, 0, 0, 2})
	stop()
	from := len(client.snapshot()) + 1
	after := client.waitFor("100 RPCs after the stop", from, atLeast(100))
	client.stop()
	checkAllOK(t, client.snapshot())
	if n := countPods(after)["first"]; n != 0 {
		t.Errorf("%d RPCs on a pod that had stopped", n)
	}
}
