package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// run is one step under way.
type run struct {
	Target
	ctx   context.Context
	peers []*peer
}

func (r *run) end() {
	for _, p := range r.peers {
		_ = p.Close()
	}
}

// peer is a client and what its hooks were told.
type peer struct {
	*client.Client
	ctx     context.Context
	signals chan described
	created chan session.Session
	closed  chan struct{}
	lost    chan error
}

// room is how much a peer remembers of what it was told.
const room = 256

// peer connects a client to the server.
func (r *run) peer() (*peer, error) { return r.peerAt(r.Addr) }

func (r *run) peerAt(addr string) (*peer, error) {
	return r.join(r.client(addr, []protocol.Version{r.Version}))
}

// guestAt is peerAt for a client that does not connect again, and so does not make requests
// again that a server refused because it shuts down.
func (r *run) guestAt(addr string) (*peer, error) {
	return r.join(r.clientWith(addr, client.Options{Versions: []protocol.Version{r.Version}, DisableAutoconnect: true}))
}

func (r *run) join(p *peer) (*peer, error) {
	ctx, cancel := context.WithTimeout(r.ctx, connectTimeout)
	defer cancel()
	if err := p.Connect(ctx); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return p, nil
}

// client returns a client that is not connected.
func (r *run) client(addr string, versions []protocol.Version) *peer {
	return r.clientWith(addr, client.Options{Versions: versions})
}

func (r *run) clientWith(addr string, opts client.Options) *peer {
	p := &peer{
		ctx:     r.ctx,
		signals: make(chan described, room),
		created: make(chan session.Session, room),
		closed:  make(chan struct{}, room),
		lost:    make(chan error, room),
	}
	opts.MaxMessageSize = MaxMessageSize
	opts.MinBackoff = 20 * time.Millisecond
	opts.MaxBackoff = 200 * time.Millisecond
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Handler = clientHandlers()
	opts.Hooks = client.Hooks{
		OnServerSignal:   func(_ context.Context, s *client.Signal) { p.signals <- describe(s.Name, s.Payload) },
		OnSessionCreated: func(_ context.Context, s session.Session) { p.created <- s },
		OnSessionClosed:  func(context.Context) { p.closed <- struct{}{} },
		OnDisconnected:   func(_ context.Context, reason error) { p.lost <- reason },
	}
	p.Client = client.New(r.Network.Dialer(addr), opts)
	r.peers = append(r.peers, p)
	return p
}

// ask is Request with a text, and the reply as one.
func (p *peer) ask(name, text string) (string, error) {
	payload := protocol.Text(text)
	if text == "" {
		payload = protocol.Text(" ") // as good as nothing, and no version refuses it
	}
	reply, err := p.Request(p.ctx, name, payload)
	return reply.Text(), err
}

// expect is ask for a reply that is known.
func (p *peer) expect(name, text, want string) error {
	got, err := p.ask(name, text)
	if err != nil {
		return fmt.Errorf("request %s: %w", name, err)
	}
	if got != want {
		return fmt.Errorf("request %s: reply %.200q, want %.200q", name, got, want)
	}
	return nil
}

// refused is ask for an error that is known.
func (p *peer) refused(name, text string, want error) error {
	_, err := p.ask(name, text)
	return wanted("request "+name, err, want)
}

func wanted(what string, err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%s: %v, want %v", what, err, want)
	}
	return nil
}

// spawn has the server start another one.
func (r *run) spawn(options string) (addr string, err error) {
	p, err := r.peer()
	if err != nil {
		return "", err
	}
	addr, err = p.ask("spawn", options)
	if errors.Is(err, &protocol.Error{Code: codeUnknown}) || errors.Is(err, protocol.ErrNoHandler) {
		return "", skip("the server has no request spawn, which starts another one")
	}
	return addr, err
}

// received returns the next value that a hook put into ch.
func received[T any](p *peer, ch <-chan T, what string) (v T, err error) {
	select {
	case v = <-ch:
		return v, nil
	case <-p.ctx.Done():
		return v, fmt.Errorf("waiting for %s: %w", what, p.ctx.Err())
	}
}

// login creates a session and checks that the client knows of it when the reply
// comes.
func (p *peer) login(info string) (key string, err error) {
	key, err = p.ask("login", info)
	if err != nil {
		return "", err
	}
	s, ok := p.Session()
	if !ok || s.Key != key {
		return "", fmt.Errorf("after the reply to login the client has %v, %v", s, ok)
	}
	created, err := received(p, p.created, "OnSessionCreated")
	if err == nil && created.Key != key {
		err = errors.New("OnSessionCreated got another session than the client has")
	}
	return key, err
}

// expectSession compares the connection's session, as the server knows it.
func (p *peer) expectSession(key, info string) error {
	text, err := p.ask("session", "")
	if err != nil {
		return err
	}
	if key == "" {
		if text != "null" {
			return errors.New("the server knows a session, want none")
		}
		return nil
	}
	var got sessionAnswer
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return err
	}
	if got.Key != key {
		return errors.New("the server knows another session, or none")
	}
	return sameJSON("info of the session", got.Info, info)
}

func sameJSON(what string, got json.RawMessage, want string) error {
	canonical := func(b []byte) (string, error) {
		var v any
		if len(b) == 0 {
			return "null", nil
		}
		if err := json.Unmarshal(b, &v); err != nil {
			return "", err
		}
		out, err := json.Marshal(v)
		return string(out), err
	}
	a, errA := canonical(got)
	b, errB := canonical([]byte(want))
	if err := errors.Join(errA, errB); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if a != b {
		return fmt.Errorf("%s: %s, want %s", what, a, b)
	}
	return nil
}

// awaitConns waits until the server counts so many connections of a session.
func (p *peer) awaitConns(key string, want int) error {
	for {
		got, err := p.ask("session-conns", key)
		if err != nil || got == strconv.Itoa(want) {
			return err
		}
		if err := pause(p.ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("session has %s connections, want %d: %w", got, want, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
