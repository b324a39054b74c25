package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// rawServer is the server's end of a client's connections, without a server: the
// test decides what is sent.
type rawServer struct {
	t       *testing.T
	version protocol.Version
	client  *client.Client
	accept  *memory.Listener
	conn    transport.Conn
	lost    chan error // what OnDisconnected got
	signals atomic.Int32
}

func newRawServer(t *testing.T, v protocol.Version) *rawServer {
	s := &rawServer{t: t, version: v, accept: memory.Listen(), lost: make(chan error, 1)}
	s.client = client.New(s.accept, client.Options{
		Versions:   []protocol.Version{v},
		MinBackoff: time.Nanosecond,
		MaxBackoff: time.Nanosecond,
		Logger:     slog.New(slog.DiscardHandler),
		Hooks: client.Hooks{
			OnServerSignal: func(context.Context, *client.Signal) { s.signals.Add(1) },
			OnDisconnected: func(_ context.Context, reason error) { s.lost <- reason },
		},
	})
	return s
}

// connect takes the client's next connection.
func (s *rawServer) connect() {
	s.t.Helper()
	connected := make(chan error, 1)
	go func() { connected <- s.client.Connect(context.Background()) }()
	var err error
	if s.conn, err = s.accept.Accept(transport.AcceptOptions{Protocols: []string{s.version.Token()}}); err != nil {
		s.t.Fatal(err)
	}
	conf := protocol.Conf{Version: s.version, ReadTimeout: time.Minute}
	rules := manners.Of(s.version)
	if rules.Hello {
		welcome(s.t, s.conn, conf, 0)
	}
	if rules.Conf {
		s.send(conf.Message())
	}
	if err := <-connected; err != nil {
		s.t.Fatal(err)
	}
}

func (s *rawServer) close() {
	_ = s.client.Close()
	_ = s.accept.Close()
}

func (s *rawServer) send(m protocol.Message) {
	s.t.Helper()
	b, err := s.version.Append(nil, m)
	if err == nil {
		err = s.conn.Write(b)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// request has the client send a request, and returns its id and where its outcome
// comes.
func (s *rawServer) request() (id protocol.ID, outcome <-chan error) {
	s.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := s.client.Request(context.Background(), "n", protocol.Text("x"))
		done <- err
	}()
	for {
		b, err := s.conn.Read(nil)
		if err != nil {
			s.t.Fatal(err)
		}
		if m, err := s.version.Parse(b); err == nil && m.Kind == protocol.Request {
			return m.ID, done
		}
	}
}

// over returns why the connection ended, once it has.
func (s *rawServer) over() error {
	for {
		if _, err := s.conn.Read(nil); err != nil {
			return err
		}
	}
}

// works makes sure that the connection is of use.
func (s *rawServer) works() {
	s.t.Helper()
	id, outcome := s.request()
	s.send(protocol.Message{Kind: protocol.Reply, ID: id})
	if err := <-outcome; err != nil {
		s.t.Fatal(err)
	}
}

func (s *rawServer) connects() uint64 { return s.client.Stats().Connects }

func eachVersion(t *testing.T, test func(t *testing.T, v protocol.Version)) {
	for _, v := range protocol.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, v) })
		})
	}
}

// fatal reports whether a message of a server ends the connection. Before 3.0 only a
// session that cannot be read does, because the server believes that the client has it.
func fatal(v protocol.Version, msg []byte) bool {
	m, err := v.Parse(msg)
	switch {
	case len(msg) > 0 && msg[0] == 21:
		return true
	case v < protocol.V3_0:
		return false
	case err != nil:
		return true
	case m.Kind == protocol.ReplyFailure:
		_, err := m.Failure()
		return err != nil
	case m.Kind == protocol.Ack: // none, or of more than was sent
		return m.Number > 0
	case m.Kind == protocol.Gap:
		_, err := m.Gap()
		return err != nil
	case m.Kind == protocol.Welcome: // there was one
		return true
	}
	return !v.FromServer(m.Kind)
}

// drains reports whether a message asks the client to leave.
func drains(v protocol.Version, msg []byte) bool {
	m, err := v.Parse(msg)
	return err == nil && m.Kind == protocol.Drain
}

// known reports whether a version has messages of a type.
func known(v protocol.Version, typ byte) bool {
	m, _ := v.Parse([]byte{typ})
	return m.Kind != 0
}

// No message of a server, whole or not, hurts the client: it is handled, dropped and
// counted, or ends the connection.
func TestEveryTypeAndLength(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := newRawServer(t, v)
		defer s.close()
		s.connect()
		ended := 0
		for typ := range 256 {
			for length := range 65 {
				if length == 0 && typ > 0 || !known(v, byte(typ)) && length != 0 && length != 1 && length != 9 && length != 64 {
					continue // seen already, or seen enough
				}
				for _, fill := range []byte{0, 3, 'a'} {
					msg := make([]byte, length)
					for i := range msg {
						msg[i] = fill
					}
					if length > 0 {
						msg[0] = byte(typ)
					}
					if drains(v, msg) {
						continue
					}
					if err := s.conn.Write(msg); err != nil {
						t.Fatal(err)
					}
					if fatal(v, msg) {
						ended++
						var closed *transport.CloseError
						if err := s.over(); !errors.As(err, &closed) || closed.Status != transport.StatusProtocolError {
							t.Fatalf("after %q: %v", msg, err)
						}
						if err := <-s.lost; !errors.Is(err, client.ErrProtocolViolation) {
							t.Fatalf("after %q: OnDisconnected got %v", msg, err)
						}
						s.connect()
					}
				}
			}
			s.works()
		}
		if n := s.connects(); n != uint64(1+ended) {
			t.Errorf("%d connections, %d ended", n, ended)
		}
		if _, ok := s.client.Session(); ok {
			t.Error("the client has a session")
		}
		synctest.Wait()
		if s.signals.Load() == 0 {
			t.Error("no signal reached the hook")
		}
	})
}

func TestRandomBytes(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		rng := rand.New(rand.NewPCG(2, uint64(v.Minor())))
		s := newRawServer(t, v)
		defer s.close()
		s.connect()
		for range 300 {
			_, outcome := s.request()
			for range rng.IntN(20) {
				msg := make([]byte, rng.IntN(40))
				for i := range msg {
					msg[i] = byte(rng.Uint32())
				}
				if len(msg) > 0 && v >= protocol.V3_0 && rng.IntN(2) == 0 {
					msg[0] = []byte{0, 9, 10, 11, 12, 13, 22, 63, 66, 69, 72, 127, 128, 191, 192}[rng.IntN(15)]
				}
				if fatal(v, msg) || drains(v, msg) {
					continue
				}
				if err := s.conn.Write(msg); err != nil {
					t.Fatal(err)
				}
			}
			s.works()
			_ = s.conn.Abort()
			if err := <-outcome; !errors.Is(err, client.ErrDisconnected) {
				t.Fatalf("outcome %v", err)
			}
			<-s.lost
			s.connect()
		}
	})
}

// Replies that answer nothing settle nothing.
func TestStrayReplies(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := newRawServer(t, v)
		defer s.close()
		s.connect()
		old, outcome := s.request()
		s.send(protocol.Message{Kind: protocol.Reply, ID: old})
		if err := <-outcome; err != nil {
			t.Fatal(err)
		}
		id, outcome := s.request()
		if id == old {
			t.Fatal("an id is used twice")
		}
		dropped := s.client.Stats().Dropped
		ids := []protocol.ID{old, {}, protocol.NewID(^uint64(0)), protocol.NewID(id.Uint64() + 1), protocol.NewID(1)}
		for _, stray := range ids {
			s.send(protocol.Message{Kind: protocol.Reply, ID: stray, Payload: protocol.Text("stray")})
			s.send(v.Failure(stray, protocol.ErrShutdown))
		}
		synctest.Wait()
		select {
		case err := <-outcome:
			t.Fatalf("a stray reply settled a request: %v", err)
		default:
		}
		if n := s.client.Stats().Dropped - dropped; n != uint64(2*len(ids)) {
			t.Errorf("%d messages were dropped, want %d", n, 2*len(ids))
		}
		s.send(v.Failure(id, protocol.ErrInternal))
		if err := <-outcome; !errors.Is(err, protocol.ErrInternal) {
			t.Errorf("outcome %v", err)
		}
		s.works()
		if n := s.connects(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// A reply that cannot be read is one nevertheless: whoever waits learns of it at once.
func TestMalformedReplies(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := newRawServer(t, v)
		defer s.close()
		s.connect()
		for name, tail := range map[string]struct {
			typ  byte
			rest []byte
		}{
			"odd text":           {193, []byte{0, 'a'}},
			"no pad":             {193, nil},
			"error without code": {0, nil},
			"error that is cut":  {0, []byte{9, 'a'}},
		} {
			id, outcome := s.request()
			msg := append(append([]byte{tail.typ}, id[:]...), tail.rest...)
			if err := s.conn.Write(msg); err != nil {
				t.Fatal(err)
			}
			if err := <-outcome; !errors.Is(err, protocol.ErrMalformed) {
				t.Errorf("%s: outcome %v", name, err)
			}
			if v >= protocol.V3_0 { // which ends the connection
				<-s.lost
				s.connect()
			}
		}
		if v >= protocol.V3_0 {
			return
		}
		// One that is cut inside its id is nobody's.
		id, outcome := s.request()
		if err := s.conn.Write(append([]byte{192}, id[:7]...)); err != nil {
			t.Fatal(err)
		}
		s.works()
		s.send(protocol.Message{Kind: protocol.Reply, ID: id})
		if err := <-outcome; err != nil {
			t.Error(err)
		}
	})
}

// Every refusal has its error, in every version, but that of a server that shuts down: then
// the request is made again.
func TestRefusalsInEveryVersion(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := newRawServer(t, v)
		defer s.close()
		s.connect()
		for _, want := range []error{
			protocol.ErrInternal, protocol.ErrSessionNotFound, protocol.ErrSessionFull,
			protocol.ErrSessionsDisabled, protocol.ErrProtocol, &protocol.Error{Code: "CODE", Message: "é"},
		} {
			id, outcome := s.request()
			if want == protocol.ErrProtocol && v >= protocol.V3_0 { // which closes the connection for it
				want = protocol.ErrInternal
			}
			msg, err := v.Append(nil, v.Failure(id, want))
			if err != nil { // there is no such refusal in the version
				msg, want = append([]byte{2}, id[:]...), protocol.ErrInternal
			}
			if err := s.conn.Write(msg); err != nil {
				t.Fatal(err)
			}
			if err := <-outcome; !errors.Is(err, want) || fmt.Sprint(err) != fmt.Sprint(want) {
				t.Errorf("%v: outcome %v, want %v", v, err, want)
			}
		}
	})
}

// A server of 2.0 opens the connection, and with nothing else.
func TestConnectionOpenedBadly(t *testing.T) {
	v := protocol.V2_0
	conf, err := v.Append(nil, protocol.Conf{Version: v}.Message())
	if err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string][]byte{
		"empty":       {},
		"cut":         conf[:len(conf)-1],
		"signal":      {63, 0, 1},
		"reply":       append([]byte{191}, make([]byte, 8)...),
		"unknown":     {99},
		"nothing":     nil,
		"major three": append([]byte{23, 3}, conf[2:]...),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := memory.Listen()
				c := client.New(ln, client.Options{Versions: []protocol.Version{v}, DisableAutoconnect: true})
				defer c.Close()
				done := make(chan error, 1)
				go func() { done <- c.Connect(context.Background()) }()
				conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{v.Token()}})
				if err != nil {
					t.Fatal(err)
				}
				if name != "nothing" {
					if err := conn.Write(first); err != nil {
						t.Fatal(err)
					}
				}
				err = <-done
				var mismatch *client.VersionError
				switch {
				case err == nil:
					t.Error("the client is connected")
				case name == "nothing" && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("got %v", err)
				case (name == "major three") != errors.As(err, &mismatch):
					t.Errorf("got %v", err)
				}
				if _, err := conn.Read(nil); err == nil {
					t.Error("the client sent something")
				}
			})
		})
	}
}

// A server of 3.0 that welcomes the client twice, or makes requests and reads no answers,
// has broken the protocol, which OnDisconnected is told.
func TestViolationsAreTold(t *testing.T) {
	for name, violate := range map[string]func(s *rawServer){
		"a second welcome": func(s *rawServer) { s.send(protocol.WelcomeBody{From: 1}.Message()) },
		"answers unread": func(s *rawServer) {
			var err error
			for id := uint64(0); err == nil && len(s.lost) == 0; id++ {
				b, _ := s.version.Append(nil, protocol.Message{Kind: protocol.Request, ID: protocol.NewID(id), Name: "r"})
				err = s.conn.Write(b) // until the client has closed the connection
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRawServer(t, protocol.V3_0)
				defer s.close()
				s.connect()
				violate(s)
				if reason := <-s.lost; !errors.Is(reason, client.ErrProtocolViolation) || strings.Contains(reason.Error(), "\n") {
					t.Errorf("the reason is %q", reason)
				}
				s.conn.Abort()
			})
		})
	}
}
