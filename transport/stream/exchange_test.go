package stream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
)

// dial makes the dialling end of a connection whose other end reads the offer, which it
// returns, sends answer, and stays.
func dial(t *testing.T, opts transport.DialOptions, answer []byte) (conn transport.Conn, offer []byte, err error) {
	t.Helper()
	near, raw := net.Pipe()
	t.Cleanup(func() { raw.Close() })
	read := make(chan []byte, 1)
	go func() {
		head := make([]byte, 4)
		io.ReadFull(raw, head)
		body := make([]byte, int(head[1])<<16|int(head[2])<<8|int(head[3]))
		io.ReadFull(raw, body)
		read <- append(head, body...)
		raw.Write(answer)
		io.Copy(io.Discard, raw)
	}()
	conn, err = stream.Client(t.Context(), near, opts)
	if err == nil {
		t.Cleanup(func() { conn.Abort() })
	}
	return conn, <-read, err
}

// What the dialling end sends, and makes of the answer.
func TestAnswers(t *testing.T) {
	tokens := []string{"v2", "v1"}
	for _, c := range []struct {
		name   string
		offer  []string
		answer []byte
		agreed string
		named  []string
	}{
		{"nothing offered", nil, exchangeFrame(0x85, ""), "", []string{}},
		{"the first", tokens, exchangeFrame(0x85, "v2"), "v2", []string{"v2"}},
		{"the last", tokens, exchangeFrame(0x85, "v1"), "v1", []string{"v1"}},
		{"none, supports none", tokens, exchangeFrame(0x85, ""), "", []string{}},
		{"none, supports others", tokens, exchangeFrame(0x85, ",v3,v4"), "", []string{"v3", "v4"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			conn, offer, err := dial(t, transport.DialOptions{Protocols: c.offer}, c.answer)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if want := exchangeFrame(0x84, strings.Join(c.offer, ",")); !slices.Equal(offer, want) {
				t.Errorf("%s: offered %x, want %x", c.name, offer, want)
			}
			n, _ := transport.As[transport.Negotiator](conn)
			if named, err := n.PeerProtocols(); conn.Protocol() != c.agreed || !slices.Equal(named, c.named) || named == nil || err != nil {
				t.Errorf("%s: agreed on %q, the peer named %#v, %v", c.name, conn.Protocol(), named, err)
			}
		})
	}
}

// An answer that is none costs the connection.
func TestWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		status transport.Status
		local  bool
	}{
		"not offered":            {exchangeFrame(0x85, "v3"), transport.StatusProtocolError, true},
		"a token and others":     {exchangeFrame(0x85, "v2,v1"), transport.StatusProtocolError, true},
		"over 4096 bytes":        {exchangeFrame(0x85, strings.Repeat(",v3", 1366)), transport.StatusProtocolError, true},
		"a message":              {frameOf([]byte("hello")), transport.StatusProtocolError, true},
		"an offer":               {exchangeFrame(0x84, "v2"), transport.StatusProtocolError, true},
		"a ping":                 {[]byte{0x81, 0, 0, 0}, transport.StatusProtocolError, true},
		"a close":                {[]byte{0x83, 0, 0, 2, 1013 >> 8, 1013 & 0xff}, transport.StatusTryAgainLater, false},
		"a close without status": {[]byte{0x83, 0, 0, 0}, transport.StatusNoStatusReceived, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, _, err := dial(t, transport.DialOptions{Protocols: []string{"v2", "v1"}}, c.answer)
			var closed *transport.CloseError
			if !errors.As(err, &closed) || closed.Status != c.status || closed.Local != c.local {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// A peer that does not answer is given up after the read timeout, or when the context ends.
func TestNoAnswer(t *testing.T) {
	for _, answer := range [][]byte{nil, {0x85}, exchangeFrame(0x85, "v2")[:5]} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			limits := transport.Limits{ReadTimeout: time.Second}
			_, _, err := dial(t, transport.DialOptions{Protocols: []string{"v2"}, Limits: limits}, answer)
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took > 2*limits.ReadTimeout*9/8 {
				t.Errorf("answered %x: %v after %v", answer, err, took)
			}
		})
	}
	for name, ended := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"cancelled": context.WithCancel,
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := ended(t.Context())
			defer cancel()
			near, raw := net.Pipe()
			defer raw.Close()
			if name == "cancelled" {
				time.AfterFunc(time.Second, cancel)
			}
			go io.Copy(io.Discard, raw)
			start := time.Now()
			if _, err := stream.Client(ctx, near, transport.DialOptions{}); err != ctx.Err() || time.Since(start) != time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
			if _, err := near.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: the net.Conn is not closed: %v", name, err)
			}
		})
	}
}

// Tokens that cannot be offered are a mistake of the caller, who loses the net.Conn.
func TestOffersThatCannotBeMade(t *testing.T) {
	longest := slices.Repeat([]string{strings.Repeat("v", 63)}, 64) // 4095 bytes with commas
	for name, tokens := range map[string][]string{
		"empty":     {""},
		"comma":     {"v1,v2"},
		"space":     {"v 1"},
		"not ASCII": {"é"},
		"too long":  append(longest, "vv"),
	} {
		near, raw := net.Pipe()
		_, err := stream.Client(t.Context(), near, transport.DialOptions{Protocols: tokens})
		if !errors.Is(err, transport.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := raw.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: the net.Conn is not closed: %v", name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		conn, offer, err := dial(t, transport.DialOptions{Protocols: longest}, exchangeFrame(0x85, longest[0]))
		if err != nil || len(offer) != 4+4095 || conn.Protocol() != longest[0] {
			t.Errorf("the longest offer has %d bytes: %v", len(offer), err)
		}
	})
}

// What the accepting end answers.
func TestOffers(t *testing.T) {
	many := slices.Repeat([]string{strings.Repeat("s", 63)}, 100)
	for _, c := range []struct {
		name      string
		offer     string
		supported []string
		want      string
	}{
		{"nothing offered", "", []string{"v2", "v1"}, ",v2,v1"},
		{"nothing supported", "v2", nil, ""},
		{"no agreement", "v3", []string{"v2", "v1"}, ",v2,v1"},
		{"agreement", "v1,v2", []string{"v2", "v1"}, "v2"},
		{"empty elements", ",,v1,", []string{"v2", "v1"}, "v1"},
		{"more supported than fit", "v1", many, "," + strings.Join(many[:64], ",")},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, raw := net.Pipe()
			conn := stream.Server(near, transport.AcceptOptions{Protocols: c.supported})
			defer conn.Abort()
			go conn.Protocol()
			if _, err := raw.Write(exchangeFrame(0x84, c.offer)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4+len(c.want))
			if _, err := io.ReadFull(raw, got); err != nil || !slices.Equal(got, exchangeFrame(0x85, c.want)) {
				t.Errorf("%s: answered %q, %v", c.name, got, err)
			}
		})
	}
}

// The first exchange is over after its two frames.
func TestExchangeOnlyOnce(t *testing.T) {
	for name, frame := range map[string][]byte{"offer": exchangeFrame(0x84, "v1"), "answer": exchangeFrame(0x85, "v1")} {
		synctest.Test(t, func(t *testing.T) {
			x, y := net.Pipe()
			conn := stream.Server(x, transport.AcceptOptions{Protocols: []string{"v1"}})
			go func() {
				y.Write(exchangeFrame(0x84, "v1"))
				io.ReadFull(y, make([]byte, 6))
				y.Write(frame)
				io.Copy(io.Discard, y)
			}()
			_, err := conn.Read(nil)
			var closed *transport.CloseError
			if !errors.As(err, &closed) || closed.Status != transport.StatusProtocolError || !closed.Local {
				t.Errorf("second %s: %v", name, err)
			}
			y.Close()
		})
	}
}

// The bytes of the package documentation.
func TestDocumentedExchange(t *testing.T) {
	for _, c := range []struct {
		supported []string
		answer    string
	}{
		{[]string{"webwire-2.0", "webwire-1.2"}, "\x85\x00\x00\x0bwebwire-2.0"},
		{[]string{"webwire-3.0"}, "\x85\x00\x00\x0c,webwire-3.0"},
		{nil, "\x85\x00\x00\x00"},
	} {
		near, raw := net.Pipe()
		conn := stream.Server(near, transport.AcceptOptions{Protocols: c.supported})
		var negotiating sync.WaitGroup
		negotiating.Go(func() { _ = conn.Protocol() })
		if _, err := io.WriteString(raw, "\x84\x00\x00\x17webwire-2.0,webwire-1.2"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(c.answer))
		if _, err := io.ReadFull(raw, got); err != nil || string(got) != c.answer {
			t.Errorf("answered %q, %v, want %q", got, err, c.answer)
		}
		negotiating.Wait()
		conn.Abort()
		raw.Close()
	}
}
