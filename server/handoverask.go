package server

import (
	"context"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// handoverOp is the second byte of a question about a hand-over, after its version.
type handoverOp byte

const (
	opTake    handoverOp = iota + 1 // a connection, by what its client claims
	opPart                          // of what take has more to say
	opCommit                        // what was taken
	opRelease                       // it: it is not wanted any more
	opForward                       // to the node that has the connection: what a handler sends
	opBack                          // from it: what the client sends to a handler
	opEnd                           // to it: the last handler has returned
	opGone                          // from it: the connection has ended
	opFollow                        // from it: it has the connection now
	opAlive                         // from it: whether handlers run there
	opClose                         // to it: Conn.Close or, without a status, Conn.Abort
	opExpires                       // to it: Conn.ExpiresAt
)

// The first byte of the answers to take, commit and forward.
const (
	answerNo    byte = iota // with the outcome for the client, of take
	answerYes               // with what was asked for
	answerMoved             // the connection is elsewhere: node and id follow
	answerBusy              // ask again soon
)

// handoverQuestion returns the beginning of a question about a connection.
func handoverQuestion(op handoverOp, id protocol.ConnID) form {
	f := form{handoverVersion, byte(op)}
	f.raw(id[:])
	return f
}

// answerHandover answers a question about a hand-over.
func (t *topics) answerHandover(ctx context.Context, from engine.NodeID, data []byte) ([]byte, error) {
	r := formReader{rest: data}
	if version := r.u8(); version != handoverVersion {
		return nil, errFormVersion
	}
	op, id := handoverOp(r.u8()), r.conn()
	s := t.server
	switch op {
	case opTake:
		claim := &protocol.Resume{Conn: id, Secret: protocol.Secret(r.conn()), Attempt: r.u32(), Received: r.u64(), FirstKept: r.u64()}
		if err := r.end(); err != nil {
			return nil, err
		}
		return s.answerTake(ctx, claim), nil
	case opPart:
		token, at := r.u64(), r.u64()
		if err := r.end(); err != nil {
			return nil, err
		}
		return s.answerPart(ctx, id, token, at)
	case opCommit:
		token, to := r.u64(), place{node: from, conn: r.conn()}
		if err := r.end(); err != nil {
			return nil, err
		}
		committed, err := s.answerCommit(ctx, id, token, to)
		if committed {
			return []byte{answerYes}, nil
		}
		return []byte{answerNo}, err
	case opRelease:
		token := r.u64()
		if err := r.end(); err != nil {
			return nil, err
		}
		s.answerRelease(ctx, id, token)
		return []byte{answerYes}, nil
	case opForward:
		origin, at := place{from, r.conn()}, r.u64()
		return s.answerForward(ctx, id, origin, at, r.rest)
	case opEnd:
		return s.answerEnd(id, place{from, r.conn()}), nil
	case opBack:
		return []byte{answerYes}, s.answerBack(id, r.rest)
	case opGone:
		s.answerGone(id)
		return []byte{answerYes}, nil
	case opClose:
		status, reason := r.u32(), string(r.bytes())
		if err := r.end(); err != nil {
			return nil, err
		}
		return s.answerCall(id, func(c *Conn) {
			if status == 0 {
				c.Abort()
			} else {
				c.Close(transport.Status(status), reason)
			}
		}), nil
	case opExpires:
		at := r.time()
		if err := r.end(); err != nil {
			return nil, err
		}
		return s.answerCall(id, func(c *Conn) { c.ExpiresAt(at) }), nil
	case opAlive:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.resumable[id] == nil {
			return []byte{answerNo}, nil
		}
		return []byte{answerYes}, nil
	case opFollow:
		to := place{from, r.conn()}
		if err := r.end(); err != nil {
			return nil, err
		}
		s.answerFollow(id, to)
		return []byte{answerYes}, nil
	}
	return nil, errQuestion
}
