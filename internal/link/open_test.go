package link

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

var (
	aConf  = protocol.Conf{Version: protocol.V3_0, MessageSize: 5000, StreamCredit: 7000, Requests: 90, SubProtocol: "p"}
	aHello = protocol.HelloBody{
		MessageSize: 2000, StreamCredit: 3000, Requests: 4,
		Head: protocol.Head{}.AppendCredentials([]byte("token")).AppendClient("test", "1.0"),
	}
)

// Both ends speak first, and each learns what the other announces.
func TestOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memory.Pipe()
		hellos := make(chan protocol.HelloBody, 1)
		go func() {
			hello, err := AwaitHello(t.Context(), b, aConf)
			if err != nil {
				t.Error(err)
			}
			hellos <- hello
		}()
		conf, err := SayHello(t.Context(), a, aHello)
		if err != nil || conf != aConf {
			t.Errorf("the client got %v, %v", conf, err)
		}
		hello := <-hellos
		token, _ := hello.Head.Credentials()
		name, version := hello.Head.Client()
		if string(token) != "token" || name != "test" || version != "1.0" || hello.MessageSize != 2000 {
			t.Errorf("the server got %v", hello)
		}
		if TermsOfServer(conf) != (Terms{90, 7000}) || TermsOfClient(hello) != (Terms{4, 3000}) {
			t.Errorf("terms %v and %v", TermsOfServer(conf), TermsOfClient(hello))
		}

		// The first message on the link is welcome, and requests need not wait for it.
		configOf := func(conn transport.Conn, own, peer Terms) Config {
			c := config3(conn)
			c.Own, c.Peer = own, peer
			return c
		}
		server := start(t, configOf(b, TermsOfServer(conf), TermsOfClient(hello)), echo)
		c := configOf(a, TermsOfClient(hello), TermsOfServer(conf))
		c.First = protocol.Welcome
		client := start(t, c, echo)
		done := begun(client, t.Context(), ask(0, "early", nil), time.Minute)
		_ = server
		if err := <-done; err == nil {
			t.Error("a reply before welcome was taken")
		}
		if err := client.violation(); !errors.Is(err, errFirst) {
			t.Errorf("a reply before welcome: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		conf := config3(w)
		conf.First = protocol.Welcome
		l := start(t, conf, echo)
		w.say(t, protocol.WelcomeBody{From: 1}.Message())
		w.say(t, protocol.Message{Kind: protocol.Signal, Name: "x"})
		synctest.Wait()
		if err := l.violation(); err != nil || len(l.got) != 2 || l.got[0].Kind != protocol.Welcome {
			t.Errorf("%v, %v", err, l.got)
		}
	})
}

// Whoever does not speak, or not as it should, is disconnected.
func TestOpeningFails(t *testing.T) {
	signal := protocol.Message{Kind: protocol.Signal, Name: "x"}
	critical := aHello
	critical.Head = protocol.Head{}.Append(130, nil)
	for name, test := range map[string]struct {
		say   *protocol.Message
		raw   []byte
		want  error
		takes time.Duration
		end   transport.Status // zero: aborted
	}{
		"silence":   {want: ErrNoHello, takes: 10 * time.Second, end: transport.StatusProtocolError},
		"signal":    {say: &signal, want: protocol.ErrMalformed, end: transport.StatusProtocolError},
		"malformed": {raw: []byte{24, 0}, want: protocol.ErrMalformed, end: transport.StatusProtocolError},
		"critical":  {say: ptr(critical.Message()), want: protocol.ErrUnsupported, end: transport.StatusProtocolError},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			if test.say != nil {
				w.say(t, *test.say)
			}
			if test.raw != nil {
				w.arrive(test.raw)
			}
			began := time.Now()
			if _, err := AwaitHello(t.Context(), w, aConf); !errors.Is(err, test.want) || time.Since(began) != test.takes {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			if len(w.closes) == 0 || w.closes[0] != test.end {
				t.Errorf("%s: closed with %v", name, w.closes)
			}
			if len(w.written()) != 1 {
				t.Errorf("%s: wrote %q", name, w.written())
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // the client
		for _, m := range []protocol.Message{signal, aHello.Message()} {
			w := newWire()
			w.say(t, m)
			if _, err := SayHello(t.Context(), w, aHello); !errors.Is(err, protocol.ErrMalformed) || len(w.closes) == 0 {
				t.Errorf("%v: %v, %v", m.Kind, err, w.closes)
			}
		}
		for _, stuck := range []bool{false, true} {
			w := newWire()
			if stuck {
				w.gate = make(chan struct{})
			}
			ctx, stop := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { stop(errTestOver) })
			began := time.Now()
			w.slow = time.Second
			if _, err := SayHello(ctx, w, aHello); err != errTestOver || time.Since(began) != 2*time.Second || w.closes[0] != transport.StatusNormalClosure || w.aborts > 0 {
				t.Errorf("cancelled: %v after %v, closed with %v", err, time.Since(began), w.closes)
			}
			w = newWire()
			if stuck {
				w.gate = make(chan struct{})
			}
			within, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTestOver)
			began = time.Now()
			if _, err := SayHello(within, w, aHello); err != errTestOver || time.Since(began) != time.Second || w.aborts == 0 {
				t.Errorf("at the deadline: %v after %v", err, time.Since(began))
			}
			cancel()
			w = newWire()
			w.fail = errTestOver
			w.say(t, aConf.Message())
			if _, err := SayHello(t.Context(), w, aHello); !errors.Is(err, errTestOver) {
				t.Errorf("after a write that failed: %v", err)
			}
		}
		w := newWire()
		bad := aHello
		bad.Head = bad.Head.AppendCredentials(make([]byte, 9000))
		if _, err := SayHello(t.Context(), w, bad); !errors.Is(err, protocol.ErrMalformed) || w.aborts == 0 {
			t.Errorf("credentials that are too long: %v", err)
		}
	})
}

func ptr[T any](v T) *T { return &v }
