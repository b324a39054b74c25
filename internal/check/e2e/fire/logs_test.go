package fire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// bare is a log handler that escapes nothing and leaves nothing out.
type bare struct{ to *load.Journal }

func (h bare) Enabled(context.Context, slog.Level) bool { return true }
func (h bare) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h bare) WithGroup(string) slog.Handler            { return h }

func (h bare) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "stack" { // many lines, none of the peer's
			fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		}
		return true
	})
	_, err := io.WriteString(h.to, b.String()+"\n")
	return err
}

// One peer can make a server log neither what it sends nor without end, at any level.
func TestLogs(t *testing.T) {
	const marker = "SECRET-OF-A-CLIENT"
	rounds := load.Either(20_000, 300)
	var log load.Journal
	srv := server.New(server.Options{
		Upgrader: websocket.Upgrader{},
		Logger:   slog.New(bare{&log}),
		Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				switch r.Name[0] {
				case 'p':
					panic("cannot handle " + r.Name)
				case 'r':
					return protocol.Payload{Encoding: 99}, nil
				}
				return protocol.Payload{}, errors.New("cannot handle " + r.Name)
			},
			OnSignal: func(_ context.Context, s *server.Signal) { panic(s.Name) },
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				if c.Info().Request.Header.Get("X-Refuse") != "" {
					return errors.New("refused: " + c.Info().UserAgent)
				}
				return nil
			},
		},
	})
	defer srv.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: srv, ErrorLog: slog.NewLogLogger(bare{&log}, slog.LevelWarn)}
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Serve(ln) }()
	defer func() { _ = h.Close(); <-done }()
	addr := ln.Addr().String()

	// Errors and panics that quote names, which may be hostile.
	evil := " \x1b[31m\r\nlevel=ERROR msg=forged\x00\u202e" + strings.Repeat("x", 100)
	for _, v := range []protocol.Version{protocol.V1_2, protocol.V2_0, protocol.V3_0} {
		conn := mustDial(t, addr, v)
		reading := make(chan error, 1)
		go func() { reading <- discard(conn) }()
		for i := range rounds {
			name := string("per"[i%3]) + evil
			if v != protocol.V3_0 { // which has other limits to names
				name = string("per"[i%3]) + strings.ReplaceAll(evil, "\u202e", "")
			}
			m := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(uint64(i + 1)), Name: name, Payload: protocol.Text(marker)}
			b, err := v.Append(nil, m)
			if err != nil { // a name may have printable characters only
				m.Name = string("per"[i%3]) + " forged msg=x"
				b = encodeAs(v, m)
			}
			m.Kind = protocol.Signal
			s, err := v.Append(nil, protocol.Message{Kind: protocol.Signal, Name: m.Name, Payload: protocol.Text(marker)})
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Write(b, s); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.Close(transport.StatusNormalClosure, marker)
		<-reading
	}
	// Handshakes that fail or are refused.
	for range rounds / 10 {
		for _, header := range []http.Header{
			{"Origin": {"http://evil.example/\tpath"}},
			{"X-Refuse": {"1"}, "User-Agent": {"evil\tagent"}},
			{"Cookie": {marker}, "Authorization": {"Bearer " + marker}, "Sec-Websocket-Version": {"12"}},
		} {
			r, err := http.NewRequest("GET", "http://"+addr+"/?token="+marker, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = header
			for key, value := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Websocket-Version": "13",
			} {
				if r.Header.Get(key) == "" {
					r.Header.Set(key, value)
				}
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if !load.Await(func() bool { return srv.Stats().Open == 0 || srv.Stats().Open == srv.Stats().Away }) {
		t.Error("connections are left")
	}
	text, lines := log.Text(), log.Lines()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, marker) {
			t.Errorf("what a client has sent is in the log: %.200q", line)
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("not escaped: %.200q", line)
		}
		if strings.HasPrefix(line, "level=ERROR") {
			t.Errorf("a line of a peer's own: %.200q", line)
		}
	}
	load.Figure("the log", "no payload, no secret, all escaped, no flood",
		"%d requests, signals and handshakes that fail, at Debug: %d lines", 6*rounds+rounds/10*3, lines)
	if lines == 0 || lines > 1000 {
		t.Errorf("%d lines", lines)
	}
}
