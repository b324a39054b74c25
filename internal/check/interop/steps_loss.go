package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"

	"github.com/webwire-go/webwire/transport"
)

// lossSteps are about connections that end.
var lossSteps = []step{
	{name: "kill", run: killed},
	{name: "session restored after kill", run: restoredAfterKill},
	{name: "session of one connection restored after kill", run: restoredUnderLimit},
	{name: "idle connection outlives the read timeout", run: idle, slow: true},
	{name: "silent peer is cut", run: silent, slow: true},
	{name: "shutdown", run: shutdown, slow: true},
}

// kill has the server drop the connection, and waits for the client to notice.
func (p *peer) kill() error {
	_, err := p.ask("kill", "")
	var lost *client.DisconnectedError
	if !errors.As(err, &lost) || !lost.Sent {
		return fmt.Errorf("kill: %v, want a disconnection", err)
	}
	_, err = received(p, p.lost, "OnDisconnected")
	return err
}

func killed(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	return errors.Join(p.kill(), p.expect("echo", "again", "again"), p.lastSignals(nil))
}

func restoredAfterKill(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	key, err := p.login(someInfo)
	if err != nil {
		return err
	}
	for range 3 {
		if err := errors.Join(p.kill(), p.expectSession(key, someInfo)); err != nil {
			return err
		}
		s, ok := p.Session()
		if !ok || s.Key != key {
			return fmt.Errorf("after the restore the client has %v, %v", s, ok)
		}
		if err := sameJSON("info that the client got", s.Info, someInfo); err != nil {
			return err
		}
	}
	return p.awaitConns(key, 1)
}

// restoredUnderLimit: the connection that was lost must not take the place.
func restoredUnderLimit(r *run) error {
	addr, err := r.spawn(`{"sessions":true,"maxSessionConns":1}`)
	if err != nil {
		return err
	}
	p, err := r.peerAt(addr)
	if err != nil {
		return err
	}
	key, err := p.login(someInfo)
	if err != nil {
		return err
	}
	for range 3 {
		if err := errors.Join(p.kill(), p.expectSession(key, someInfo)); err != nil {
			return err
		}
	}
	return nil
}

// patiently tries a step whose success takes time that nobody can know: on a busy
// machine a unit of it may be too short.
func (r *run) patiently(try func(r *run, unit time.Duration) error) (err error) {
	once := func(unit time.Duration) error {
		ctx, cancel := context.WithTimeout(r.ctx, 10*unit)
		defer cancel()
		r := &run{Target: r.Target, ctx: ctx}
		defer r.end()
		return try(r, unit)
	}
	for unit := time.Second; unit <= 16*time.Second; unit *= 2 {
		if err = once(unit); err == nil {
			break
		}
	}
	return err
}

// impatient returns the address of a server with a read timeout.
func (r *run) impatient(readTimeout time.Duration) (addr string, err error) {
	return r.spawn(fmt.Sprintf(`{"sessions":true,"readTimeoutMs":%d}`, readTimeout.Milliseconds()))
}

func idle(r *run) error {
	return r.patiently(func(r *run, readTimeout time.Duration) error {
		addr, err := r.impatient(readTimeout)
		if err != nil {
			return err
		}
		p, err := r.peerAt(addr)
		if err != nil {
			return err
		}
		if err := pause(r.ctx, 3*readTimeout); err != nil {
			return err
		}
		if n := p.Stats().Connects; n != 1 {
			return fmt.Errorf("the client connected %d times", n)
		}
		return p.expect("echo", "still there", "still there")
	})
}

// silent dials and then does nothing, not even answer pings.
func silent(r *run) error {
	return r.patiently(func(r *run, readTimeout time.Duration) error {
		addr, err := r.impatient(readTimeout)
		if err != nil {
			return err
		}
		conn, err := r.Network.Dialer(addr).Dial(r.ctx, transport.DialOptions{Protocols: []string{r.Version.Token()}})
		if err != nil {
			return err
		}
		defer conn.Abort()
		if err := pause(r.ctx, 2*readTimeout); err != nil {
			return err
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := conn.Read(nil); err != nil {
					return
				}
			}
		}()
		if err := pause(r.ctx, readTimeout/2); err != nil {
			return err
		}
		select {
		case <-ended:
			return nil
		default:
			return errors.New("the server keeps the connection")
		}
	})
}

func shutdown(r *run) error {
	return r.patiently((*run).shutdown)
}

// shutdown tries everything within the time that a request takes which sleeps.
func (r *run) shutdown(busyFor time.Duration) error {
	sleep := strconv.FormatInt(busyFor.Milliseconds(), 10)
	addr, err := r.spawn(`{"sessions":true}`)
	if err != nil {
		return err
	}
	busy, err := r.guestAt(addr)
	if err != nil {
		return err
	}
	other, err := r.guestAt(addr)
	if err != nil {
		return err
	}
	key, err := other.login("")
	if err != nil {
		return err
	}
	slept := make(chan error, 1)
	go func() { slept <- busy.expect("sleep", sleep, "slept "+sleep) }()
	// The request must be at the server before the shutdown begins.
	if err := errors.Join(
		pause(r.ctx, busyFor/8),
		other.expect("shutdown", "", "ok"),
		pause(r.ctx, busyFor/4),
	); err != nil {
		return err
	}
	if r.Version >= protocol.V3_0 { // which has asked its clients to leave
		err = other.refused("echo", "x", client.ErrDisconnected)
	} else {
		err = errors.Join(
			other.refused("echo", "x", protocol.ErrShutdown),
			wanted("close session", other.CloseSession(r.ctx), protocol.ErrShutdown),
			wanted("restore", other.RestoreSession(r.ctx, "another"+key), client.ErrDisconnected), // it has left
		)
	}
	err = errors.Join(err, r.unavailable(addr))
	if err := errors.Join(err, <-slept); err != nil {
		return err
	}
	for _, p := range []*peer{busy, other} {
		reason, err := received(p, p.lost, "OnDisconnected")
		if err != nil {
			return err
		}
		// A client that was told may leave before the server closes.
		if !errors.Is(reason, net.ErrClosed) && !errors.Is(reason, protocol.ErrShutdown) {
			return fmt.Errorf("the connection ended with %w, want a close", reason)
		}
	}
	for {
		// The listener is closed soon after the connections.
		conn, err := r.Network.Dialer(addr).Dial(r.ctx, transport.DialOptions{Protocols: []string{r.Version.Token()}})
		if err != nil && !refusedWith503(err) {
			return nil
		}
		if err == nil {
			_ = conn.Abort()
			return errors.New("the server still takes connections")
		}
		if err := pause(r.ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("the listener is still open: %w", err)
		}
	}
}
