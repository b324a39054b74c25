package server

import (
	"errors"
	"iter"
	"slices"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
)

// Broadcast sends a signal to many connections, for instance srv.Conns(). It encodes the
// signal once for each version of the protocol, and never waits: a connection whose outbox
// is full is closed with StatusSlowConsumer, and its OnClientDisconnected gets
// ErrSlowConsumer. It returns the number of connections the signal was queued for, and an
// error if it could not be encoded for some of the others: err wraps
// protocol.ErrMalformed, or protocol.ErrTooBig if a client accepts no message of that
// length. Connections that have ended are skipped. Broadcast does not retain p.
func Broadcast(to iter.Seq[*Conn], name string, p protocol.Payload) (sent int, err error) {
	encoded := make(map[protocol.Version][]byte, 1)
	var failed []error
	var out outbox.Fanout
	defer out.Flush()
	for _, c := range slices.Collect(to) { // no code of the caller runs between sending and flushing
		if c.behind.Load() {
			continue
		}
		v := c.info.Version
		msg, ok := encoded[v]
		if !ok {
			var err error
			msg, err = v.Append(nil, protocol.Message{Kind: protocol.Signal, Name: name, Payload: p})
			if err != nil {
				failed = append(failed, err)
			}
			encoded[v] = msg
		}
		if len(msg) == 0 {
			continue
		}
		err := c.link.TrySendIn(&out, msg)
		switch {
		case err == nil:
			sent++
		case errors.Is(err, outbox.ErrFull):
			c.behind.Store(true)
			c.tooSlow()
		case errors.Is(err, protocol.ErrTooBig):
			failed = append(failed, err)
		}
	}
	return sent, errors.Join(failed...)
}
