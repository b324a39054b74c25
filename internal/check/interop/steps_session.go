package interop

import (
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/protocol"
)

// sessionSteps are about sessions on connections that last.
var sessionSteps = []step{
	{name: "login with info", run: loginWithInfo},
	{name: "login without info", run: loginWithoutInfo},
	{name: "login twice", run: loginTwice},
	{name: "logout by the server", run: logoutByServer},
	{name: "close by the client", run: closeByClient},
	{name: "restore by key", run: restoreByKey},
	{name: "restore with an unknown key", run: restoreUnknown},
	{name: "closing is told to every connection of the session", run: closeToldToAll},
	{name: "max connections of a session", run: maxConns},
	{name: "sessions disabled", run: sessionsDisabled},
}

const someInfo = `{"user":"ä😀","nested":{"list":[1,2.5,null,true,"<&>"]}}`

func loginWithInfo(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	if err := p.expectSession("", ""); err != nil {
		return err
	}
	key, err := p.login(someInfo)
	if err != nil {
		return err
	}
	s, _ := p.Session()
	if s.Created.IsZero() {
		return errors.New("the session has no time of creation")
	}
	return errors.Join(
		sameJSON("info that the client got", s.Info, someInfo),
		p.expectSession(key, someInfo),
		p.expect("session-conns", key, "1"),
	)
}

func loginWithoutInfo(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	var reply protocol.Payload
	if r.Version != protocol.V1_2 {
		reply, err = p.Request(p.ctx, "login", protocol.Payload{})
	} else {
		reply, err = p.Request(p.ctx, "login", protocol.Text(" "))
	}
	if err != nil {
		return err
	}
	s, ok := p.Session()
	if !ok || s.Key != reply.Text() || reply.Encoding != protocol.UTF8 {
		return fmt.Errorf("login: the client has %v, %v", s, ok)
	}
	return errors.Join(
		sameJSON("info that the client got", s.Info, "null"),
		p.expectSession(s.Key, "null"),
	)
}

func loginTwice(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	key, err := p.login(`{"n":1}`)
	if err != nil {
		return err
	}
	return errors.Join(
		p.refused("login", `{"n":2}`, &protocol.Error{Code: codeLoginFailed}),
		p.expectSession(key, `{"n":1}`),
	)
}

// gone checks that a session exists no more.
func (r *run) gone(key string) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	return errors.Join(
		wanted("restoring a closed session", p.RestoreSession(p.ctx, key), protocol.ErrSessionNotFound),
		p.expectSession("", ""),
		p.expect("session-conns", key, "0"),
	)
}

// closed checks that the peer knows that its session was closed, not by itself.
func (p *peer) expectClosed() error {
	if _, err := received(p, p.closed, "OnSessionClosed"); err != nil {
		return err
	}
	if s, ok := p.Session(); ok {
		return fmt.Errorf("the client still has the %v", s)
	}
	return p.expectSession("", "")
}

func logoutByServer(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	if err := p.expect("logout", "", "closed"); err != nil {
		return fmt.Errorf("without a session: %w", err)
	}
	key, err := p.login(someInfo)
	if err != nil {
		return err
	}
	if err := p.expect("logout", "", "closed"); err != nil {
		return err
	}
	if err := errors.Join(p.expectClosed(), r.gone(key)); err != nil {
		return err
	}
	again, err := p.login(`{"n":2}`)
	if err == nil && again == key {
		err = errors.New("the second session has the key of the first")
	}
	return err
}

func closeByClient(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	key, err := p.login(someInfo)
	if err != nil {
		return err
	}
	if err := p.CloseSession(p.ctx); err != nil {
		return err
	}
	if s, ok := p.Session(); ok {
		return fmt.Errorf("the client still has the %v", s)
	}
	if err := errors.Join(p.expectSession("", ""), r.gone(key)); err != nil {
		return err
	}
	_, err = p.login("")
	return err
}

func restoreByKey(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	key, err := p.login(someInfo)
	if err != nil {
		return err
	}
	q, err := r.peer()
	if err != nil {
		return err
	}
	if err := q.RestoreSession(q.ctx, key); err != nil {
		return err
	}
	s, ok := q.Session()
	if !ok || s.Key != key {
		return fmt.Errorf("after the restore the client has %v, %v", s, ok)
	}
	if err := errors.Join(
		sameJSON("info that the client got", s.Info, someInfo),
		q.expectSession(key, someInfo),
		q.expect("session-conns", key, "2"),
	); err != nil {
		return err
	}
	// The session outlives all of its connections.
	_, _ = p.Close(), q.Close()
	last, err := r.peer()
	if err != nil {
		return err
	}
	if err := last.awaitConns(key, 0); err != nil {
		return err
	}
	if err := last.RestoreSession(last.ctx, key); err != nil {
		return err
	}
	return last.expectSession(key, someInfo)
}

func restoreUnknown(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for _, key := range []string{"unknown", "ü", "0123456789012345678901234567890123456789012345678901234567890123"} {
		if err := wanted("unknown key", p.RestoreSession(p.ctx, key), protocol.ErrSessionNotFound); err != nil {
			return err
		}
	}
	_, err = p.login("")
	return err
}

func closeToldToAll(r *run) error {
	for _, how := range []string{"logout", "client"} {
		p, err := r.peer()
		if err != nil {
			return err
		}
		key, err := p.login(someInfo)
		if err != nil {
			return err
		}
		q, err := r.peer()
		if err != nil {
			return err
		}
		if err := q.RestoreSession(q.ctx, key); err != nil {
			return err
		}
		if how == "logout" {
			err = errors.Join(p.expect("logout", "", "closed"), p.expectClosed())
		} else {
			err = p.CloseSession(p.ctx)
		}
		if err := errors.Join(err, q.expectClosed(), r.gone(key)); err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
	}
	return nil
}

func maxConns(r *run) error {
	addr, err := r.spawn(`{"sessions":true,"maxSessionConns":2,"readTimeoutMs":0}`)
	if err != nil {
		return err
	}
	var peers [3]*peer
	for i := range peers {
		if peers[i], err = r.peerAt(addr); err != nil {
			return err
		}
	}
	key, err := peers[0].login(someInfo)
	if err != nil {
		return err
	}
	third := peers[2]
	if err := errors.Join(
		peers[1].RestoreSession(r.ctx, key),
		wanted("restore over the maximum", third.RestoreSession(r.ctx, key), protocol.ErrSessionFull),
		third.expectSession("", ""),
		peers[1].expectSession(key, someInfo),
		peers[0].Close(),
		third.awaitConns(key, 1),
	); err != nil {
		return err
	}
	return errors.Join(third.RestoreSession(r.ctx, key), third.expect("session-conns", key, "2"))
}

func sessionsDisabled(r *run) error {
	addr, err := r.spawn(`{"sessions":false}`)
	if err != nil {
		return err
	}
	p, err := r.peerAt(addr)
	if err != nil {
		return err
	}
	return errors.Join(
		p.refused("login", someInfo, &protocol.Error{Code: codeSessionsDisabled}),
		wanted("restore", p.RestoreSession(p.ctx, "some key"), protocol.ErrSessionsDisabled),
		p.expectSession("", ""),
		p.expect("echo", "still there", "still there"),
	)
}
