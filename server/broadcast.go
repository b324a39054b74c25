package server

import (
	"errors"
	"iter"
	"slices"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
)

// Broadcast sends a signal to many clients, srv.Conns() for instance. It encodes
// it once for each version of the protocol, and waits for nobody: a connection
// whose outbox is full is closed with StatusSlowConsumer, and its
// OnClientDisconnected told ErrSlowConsumer. It returns how many connections took
// the signal, and why it could not be composed for the others, if so: err wraps
// protocol.ErrMalformed, or protocol.ErrTooBig where a client takes no message of
// that length. Connections that are closed count as neither.
func Broadcast(to iter.Seq[*Conn], name string, p protocol.Payload) (sent int, err error) {
	encoded := make(map[protocol.Version][]byte, 1)
	var failed []error
	var out outbox.Fanout
	defer out.Flush()
	for _, c := range slices.Collect(to) { // nothing of the caller's runs between sending and flushing
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
			c.tooSlow()
		case errors.Is(err, protocol.ErrTooBig):
			failed = append(failed, err)
		}
	}
	return sent, errors.Join(failed...)
}
