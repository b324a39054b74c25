package server_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// resuming returns a server of 3.0 with the given hooks.
func resuming(hooks server.Hooks) *server.Server {
	return server.New(server.Options{Version: protocol.V3_0, Hooks: hooks, Logger: discard})
}

// first returns a peer with a new connection, and the welcome.
func first(t *testing.T, srv *server.Server) (*peer, protocol.WelcomeBody) {
	t.Helper()
	return welcomed(t, context.Background(), srv, protocol.HelloBody{}, protocol.OutcomeFresh)
}

// back returns a peer that goes on with a connection, and the welcome.
func back(t *testing.T, srv *server.Server, claim protocol.Resume) (*peer, protocol.WelcomeBody) {
	t.Helper()
	return welcomed(t, context.Background(), srv, protocol.HelloBody{Resume: &claim}, protocol.OutcomeResumed)
}

// refused returns a peer with a new connection instead of the one that it claims.
func refused(t *testing.T, srv *server.Server, claim protocol.Resume, want protocol.Outcome) (*peer, protocol.WelcomeBody) {
	t.Helper()
	p, w := welcomed(t, context.Background(), srv, protocol.HelloBody{Resume: &claim}, want)
	if w.Conn == claim.Conn || w.Secret == claim.Secret || w.Received != 0 || w.From != 1 || w.Late != 0 {
		t.Errorf("the new connection is %+v", w)
	}
	return p, w
}

// welcomed says hello and reads the welcome, whose outcome must be as wanted.
func welcomed(t *testing.T, ctx context.Context, srv *server.Server, hello protocol.HelloBody, want protocol.Outcome) (*peer, protocol.WelcomeBody) {
	t.Helper()
	p, w, err := sayHello(t, ctx, srv, hello)
	if err != nil {
		t.Fatal(err)
	}
	if w.Outcome != want {
		t.Fatalf("welcome has outcome %d, want %d", w.Outcome, want)
	}
	p.listen()
	return p, w
}

// sayHello is welcomed for a peer that does not read on. The error is why there is no
// welcome.
func sayHello(t *testing.T, ctx context.Context, srv *server.Server, hello protocol.HelloBody) (*peer, protocol.WelcomeBody, error) {
	t.Helper()
	if hello.StreamCredit == 0 {
		hello.StreamCredit, hello.Requests = 64<<10, 16
	}
	ours, theirs := pair(t, transport.Limits{}, srv.AcceptOptions())
	p := &peer{t: t, conn: ours, version: protocol.V3_0, ended: make(chan error, 1)}
	go func() {
		reason := error(nil)
		defer func() { p.ended <- reason }()
		reason = srv.ServeConn(ctx, theirs)
	}()
	t.Cleanup(func() { _ = p.conn.Abort() })
	b, err := p.version.Append(nil, hello.Message())
	if err != nil {
		t.Fatal(err)
	}
	_ = p.conn.Write(b) // the error of Read says more
	var m protocol.Message
	for _, want := range []protocol.Kind{protocol.AcceptConf, protocol.Welcome} {
		b, err := p.conn.Read(nil)
		if err != nil {
			return p, protocol.WelcomeBody{}, err
		}
		if m, err = p.version.Parse(b); err != nil || m.Kind != want {
			t.Fatalf("got %v, %v, want %v", m.Kind, err, want)
		}
	}
	w, err := m.Welcome()
	if err != nil {
		t.Fatal(err)
	}
	return p, w, nil
}

// next reads a message of a peer that does not listen.
func (p *peer) next(want protocol.Kind) protocol.Message {
	p.t.Helper()
	b, err := p.conn.Read(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	m, err := p.version.Parse(b)
	if err != nil || m.Kind != want {
		p.t.Fatalf("got %v, %v, want %v", m.Kind, err, want)
	}
	return m
}

// claim asks for the connection of a welcome, for a client that has received this many
// messages and keeps all of its own.
func claim(w protocol.WelcomeBody, attempt uint32, received uint64) protocol.Resume {
	return protocol.Resume{Conn: w.Conn, Secret: w.Secret, Attempt: attempt, Received: received, FirstKept: 1}
}

// lose drops the socket, after which the connection is away.
func (p *peer) lose() {
	p.t.Helper()
	synctest.Wait()
	_ = p.conn.Abort()
	_ = p.wait()
	synctest.Wait()
}

// ack says that this many messages have arrived.
func (p *peer) ack(received uint64) {
	p.t.Helper()
	p.send(protocol.Message{Kind: protocol.Ack, Number: received})
	synctest.Wait()
}
