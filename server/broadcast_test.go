package server_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// connectEndpoint is connect for an endpoint of srv.
func connectEndpoint(t *testing.T, srv *server.Server, v protocol.Version) *peer {
	t.Helper()
	before := len(slices.Collect(srv.Conns()))
	p := dialEndpoint(t, srv.Endpoint(server.EndpointOptions{Version: v}), v)
	if manners.Of(v).Conf {
		p.receive()
	}
	synctest.Wait()
	if n := len(slices.Collect(srv.Conns())); n != before+1 {
		t.Fatalf("%d connections, want %d", n, before+1)
	}
	return p
}

func TestBroadcast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{})
		if n, err := server.Broadcast(srv.Conns(), "nobody", protocol.Text("x")); n != 0 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		var peers []*peer
		for _, v := range protocol.Versions() {
			peers = append(peers, connectEndpoint(t, srv, v), connectEndpoint(t, srv, v))
		}
		payload := protocol.UTF16Text("Hallo")
		n, err := server.Broadcast(srv.Conns(), "news", payload)
		if n != len(peers) || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		for _, p := range peers {
			m := p.receive()
			if m.Kind != protocol.Signal || m.Name != "news" || m.Payload.Text() != "Hallo" || m.Payload.Encoding != protocol.UTF16 {
				t.Errorf("%v: got %+v", p.version, m)
			}
		}

		// From 2.0 on a signal may be a name only.
		n, err = server.Broadcast(srv.Conns(), "ping", protocol.Payload{})
		if n != 4 || !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("got %d, %v", n, err)
		}
		for _, p := range peers {
			if p.version >= protocol.V2_0 {
				p.receive()
			}
			p.quiet()
		}

		// To some: whoever the sequence names.
		var twelve []*server.Conn
		for c := range srv.Conns() {
			if c.Info().Version == protocol.V1_2 {
				twelve = append(twelve, c)
			}
		}
		if n, err := server.Broadcast(slices.Values(twelve), "old", protocol.Text("x")); n != 2 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}

		// Those that are closed count as neither sent nor failed.
		for _, p := range peers {
			p.conn.Abort()
		}
		synctest.Wait()
		if n, err := server.Broadcast(slices.Values(twelve), "late", protocol.Text("x")); n != 0 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

// A message that clients of 2.0 and 3.0 do not take is sent to all others.
func TestBroadcastTooBig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{MaxMessageSize: 1024})
		old, recent, newest := connectEndpoint(t, srv, protocol.V1_2), connectEndpoint(t, srv, protocol.V2_0), connectEndpoint(t, srv, protocol.V3_0)
		n, err := server.Broadcast(srv.Conns(), "big", protocol.Bytes(make([]byte, 1024)))
		if n != 1 || err == nil || errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("got %d, %v", n, err)
		}
		old.receive()
		recent.quiet()
		newest.quiet()
	})
}

// Broadcast waits for nobody. Who does not read is cut off and told why; the
// others get everything, in order.
func TestBroadcastCutsSlowConsumers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type end struct {
			conn   *server.Conn
			reason error
		}
		ends := make(chan end, 10)
		srv := server.New(server.Options{OutboxSize: 100_000, WriteTimeout: time.Hour, Hooks: server.Hooks{
			OnClientDisconnected: func(c *server.Conn, reason error) { ends <- end{c, reason} },
		}})
		slow := connectDeaf(t, context.Background(), srv, protocol.V1_2)
		slowConn := grab(t, srv)
		quick := []*peer{connect(t, srv, protocol.V1_2), connect(t, srv, protocol.V1_2)}
		synctest.Wait()

		payload := protocol.Bytes(make([]byte, 1000))
		began := time.Now()
		const rounds = 300
		sent := 0
		for range rounds {
			n, err := server.Broadcast(srv.Conns(), "news", payload)
			if err != nil {
				t.Fatal(err)
			}
			sent += n
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Broadcast waited for %v", took)
		}
		if extra := sent - 2*rounds; extra < 100-3 || extra > 100+64+1 { // its outbox and its pipe
			t.Errorf("the slow one took %d signals of 1 kB", extra)
		}
		for _, p := range quick {
			for range rounds {
				p.receive()
			}
			p.quiet()
		}
		if err := slow.wait(); err != server.ErrSlowConsumer {
			t.Errorf("ServeConn returned %v", err)
		}
		if got := <-ends; got.conn != slowConn || got.reason != server.ErrSlowConsumer || len(ends) > 0 {
			t.Errorf("OnClientDisconnected was told %v, and %d more", got, len(ends))
		}
		slow.listen()
		for range slow.got {
		}
		var closed *transport.CloseError
		if !errors.As(slow.lost, &closed) || closed.Status != transport.StatusSlowConsumer {
			t.Errorf("the slow one learns %v", slow.lost)
		}
	})
}

// What a client that reads too slowly gets before it is cut off has no hole, although it
// begins to read and there is room again.
func TestBroadcastLeavesNoHole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{OutboxSize: 10_000})
		slow := connectDeaf(t, context.Background(), srv, protocol.V1_2)
		conn := grab(t, srv)
		synctest.Wait()
		next := 0
		cast := func() bool {
			next++
			payload := protocol.Text(strconv.Itoa(next) + strings.Repeat(" ", 1000))
			n, err := server.Broadcast(slices.Values([]*server.Conn{conn}), "news", payload)
			if err != nil {
				t.Fatal(err)
			}
			return n == 1
		}
		for cast() {
		}
		slow.listen()
		for range 2000 {
			if cast() {
				t.Fatalf("signal %d is sent to a client that was cut off", next)
			}
			if err := conn.Signal(t.Context(), "one", protocol.Text("x")); !errors.Is(err, server.ErrConnClosed) {
				t.Fatalf("Signal: %v", err)
			}
			runtime.Gosched()
		}
		if err := slow.wait(); err != server.ErrSlowConsumer {
			t.Errorf("ServeConn returned %v", err)
		}
		for range slow.got {
		}
	})
}

// The payload is encoded once for each version: the cost does not grow with the
// number of connections times its size.
func TestBroadcastEncodesOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{OutboxSize: 1 << 30, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour})
		const peers = 20
		for range peers {
			connectDeaf(t, context.Background(), srv, protocol.V1_2)
		}
		synctest.Wait()
		payload := protocol.Bytes(make([]byte, 1<<20))
		before := heap()
		if n, err := server.Broadcast(srv.Conns(), "news", payload); n != peers || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		synctest.Wait()
		if grown := heap() - before; grown > 3<<20 {
			t.Errorf("%d connections hold %d bytes of a message of 1 MiB", peers, grown)
		}
		srv.Close()
	})
}
