package sim

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// steal tries to go on with the connection of a client, on a socket of its own. It must fail
// unless the thief knows the newest secret and a higher attempt: two that know both take the
// connection from one another.
func (w *world) steal(r *mathrand.Rand) {
	claim, must, ok := w.loot(r)
	ln := w.host.listener()
	if !ok || ln == nil {
		return
	}
	if must == "" {
		w.robbed.Store(true) // and what the thief says about what was received may be out of date
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	conn, err := w.faults.Dialer(ln).Dial(ctx, transport.DialOptions{Protocols: []string{protocol.V3_0.Token()}})
	if err != nil {
		return
	}
	defer conn.Abort()
	defer context.AfterFunc(ctx, func() { _ = conn.Abort() })()
	hello := protocol.HelloBody{StreamCredit: streamCredit, Requests: 16, Resume: claim}
	b, err := protocol.V3_0.Append(nil, hello.Message())
	if err != nil || conn.Write(b) != nil {
		return
	}
	for {
		b, err := conn.Read(nil)
		if err != nil {
			return
		}
		m, _ := protocol.V3_0.Parse(b)
		if m.Kind != protocol.Welcome {
			continue
		}
		if body, err := m.Welcome(); err == nil && body.Outcome.Resumed() && must != "" {
			w.h.violated("a connection was taken with %s", must)
		}
		break
	}
	if r.IntN(2) == 0 {
		_ = conn.Close(transport.StatusNormalClosure, "")
	}
}

// loot returns what a thief says, and why that must fail, if it must.
func (w *world) loot(r *mathrand.Rand) (claim *protocol.Resume, must string, ok bool) {
	w.host.mu.Lock()
	wires := w.host.wires
	w.host.mu.Unlock()
	w.talking.Lock()
	defer w.talking.Unlock()
	if len(wires) == 0 {
		return nil, "", false
	}
	t := wires[len(wires)-1-r.IntN(min(len(wires), 4))].talk
	if len(t.secrets) == 0 {
		return nil, "", false
	}
	newest := t.secrets[len(t.secrets)-1]
	claim = &protocol.Resume{Conn: t.id, Secret: newest, Attempt: t.attempt + 1 + uint32(r.IntN(1000)), Received: t.acked, FirstKept: t.heard + 1}
	switch n := r.IntN(8); {
	case n < 2:
		_, _ = rand.Read(claim.Secret[:])
		must = "a secret that was guessed"
	case n < 5:
		if len(t.secrets) < 3 {
			return nil, "", false
		}
		claim.Secret = t.secrets[r.IntN(len(t.secrets)-2)]
		if claim.Secret == t.previous {
			return nil, "", false
		}
		must = fmt.Sprintf("a secret that is old, of %d", len(t.secrets))
	case n < 7:
		claim.Attempt = uint32(r.IntN(int(t.attempt) + 1))
		must = "an attempt that is not higher than the last one"
	}
	return claim, must, true
}

// prowl lets a thief try now and then.
func (w *world) prowl(r *mathrand.Rand) {
	for end := time.Now().Add(w.lasts); time.Now().Before(end); w.pause(w.grid + upTo(r, 8*time.Second)) {
		w.steal(r)
	}
}
