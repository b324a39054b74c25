package client

import (
	"context"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// Request is a request of the server. It belongs to the handler, which may keep it.
type Request struct {
	Client  *Client // that received it
	Name    string
	Payload protocol.Payload
	Meta    protocol.Head // trace context and metadata
}

// RequestHandler answers a request of the server with a payload or an error. The server
// gets a *protocol.Error as it is; any other error is logged, and the server gets
// protocol.ErrInternal.
//
// Requests are handled concurrently with each other and with hooks, at most 16 at once.
// ctx ends when the server cancels the request, at its deadline, with the connection,
// and when the handler has returned; context.Cause says which. A handler that runs on
// after the connection has ended delays neither the next connection nor Close.
type RequestHandler func(ctx context.Context, r *Request) (protocol.Payload, error)

// requestsAtOnce is the number of requests of the server that are handled at once.
const requestsAtOnce = 16

// onRequest returns what handles requests.
func (o *Options) onRequest() RequestHandler {
	if h, ok := o.Handler.(interface {
		HandleRequest(ctx context.Context, r *Request) (protocol.Payload, error)
	}); ok {
		return h.HandleRequest
	}
	return noHandler
}

func noHandler(context.Context, *Request) (protocol.Payload, error) {
	return protocol.Payload{}, protocol.FailureNoHandler.Failure()
}

// requestCall is the call of a RequestHandler, in one allocation for a short request.
type requestCall struct {
	link    *link.Link
	call    link.Incoming
	request Request
	space   [64]byte
}

// serve starts the handler of a request.
func (s *serving) serve(m protocol.Message) {
	in := &requestCall{link: s.link}
	copied := m.Clone(in.space[:0])
	in.request = Request{Client: s.client, Name: copied.Name, Payload: copied.Payload, Meta: copied.Head}
	if !s.link.Serve(&in.call, &m, link.Cost(m), in) {
		s.link.Answer(s.link.Version().Failure(m.ID, protocol.ErrShutdown))
	}
}

func (r *requestCall) Run() {
	if !r.call.Begin() {
		return
	}
	c := r.request.Client
	began := r.link.Begin()
	p, err := c.onRequest(r.call.Context(), &r.request)
	r.link.Took(began)
	r.call.End()
	if err == nil {
		r.answer(protocol.Message{Kind: protocol.Reply, ID: r.call.ID(), Payload: p})
		return
	}
	m, theirs := r.call.Failure(err)
	if f, _ := m.Failure(); !theirs && f != nil && f.Code != protocol.FailureNoHandler {
		c.requestFailed(r.request.Name, err)
	}
	r.answer(m)
}

// answer sends an answer. If it cannot be sent the server gets an internal error.
func (r *requestCall) answer(m protocol.Message) {
	err := r.link.Reply(m)
	if err == nil || r.link.Cause() != nil {
		return
	}
	r.request.Client.requestFailed(r.request.Name, err)
	// If this fails too the connection is gone.
	_ = r.link.Send(context.Background(), r.link.Version().Failure(m.ID, protocol.ErrInternal))
}

func (r *requestCall) Panicked(value any, stack []byte) {
	(&hook{client: r.request.Client, name: "request handler"}).Panicked(value, stack)
	r.call.End()
	r.answer(r.link.Version().Failure(r.call.ID(), protocol.ErrInternal))
}
