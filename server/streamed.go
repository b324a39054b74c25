package server

import (
	"context"
	"iter"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// StreamHandler answers a request with any number of items. send sends one; it waits
// until the client wants more, and while the client is away, see Hooks.OnClientAway; it fails
// when ctx ends, with its cause. It does not retain
// the payload. It may be called from any goroutine until the handler returns. A client
// that leaves early cancels ctx. Server.Shutdown waits for the handler: an endless stream
// ends itself then, with protocol.ErrShutdown for instance.
//
// Otherwise it is a RequestHandler: after nil the client knows that it has all items, and
// an error comes after those that were sent.
type StreamHandler func(ctx context.Context, r *Request, send func(protocol.Payload) error) error

// Stream registers the handler of requests whose name matches the pattern and whose reply
// is streamed. It panics if the pattern already has a handler of requests. Clients of
// versions before 3.0, and those that did not ask for a stream, get an error.
func (m *Mux) Stream(pattern string, h StreamHandler) { m.Request(pattern, streamed(h)) }

// streamed makes a RequestHandler of a StreamHandler, see Mux.Stream.
func streamed(h StreamHandler) RequestHandler {
	return func(ctx context.Context, r *Request) (protocol.Payload, error) {
		in := link.IncomingOf(ctx)
		switch {
		case r.Conn.info.Version < protocol.V3_0:
			return protocol.Payload{}, errStreams
		case in == nil || !in.TakesItems():
			return protocol.Payload{}, protocol.FailureUnsupported.Failure() // nothing was executed
		}
		return protocol.Payload{}, h(ctx, r, in.SendItem)
	}
}

var errStreams error = &protocol.Error{Code: protocol.CodeBadRequest, Message: "the reply is streamed, which needs protocol 3.0"}

// JSONStream returns a StreamHandler that decodes the payload from JSON, as JSON does, and
// sends what fn yields as items encoded as JSON. An error that fn yields ends the stream.
func JSONStream[In, Out any](fn func(ctx context.Context, r *Request, in In) iter.Seq2[Out, error]) StreamHandler {
	return func(ctx context.Context, r *Request, send func(protocol.Payload) error) error {
		in, err := decodeJSON[In](r.Payload)
		if err != nil {
			return &protocol.Error{Code: protocol.CodeBadRequest, Message: whyBad(err)}
		}
		for out, err := range fn(ctx, r, in) {
			if err != nil {
				return err
			}
			p, err := protocol.JSON(out)
			if err == nil {
				err = send(p)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}
