package interop

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// What the contract server answers to ask if the client refused its request.
const (
	codeAskTooMany     = "ASK_TOO_MANY"
	codeAskNoHandler   = "ASK_NO_HANDLER"
	codeAskInternal    = "ASK_INTERNAL"
	codeAskUnsupported = "ASK_UNSUPPORTED"
)

// handle3 adds the requests of the contract that are about 3.0. Those that need it are
// refused in other versions.
func (s *Server) handle3(mux *server.Mux) {
	mux.Request("meta", meta)
	mux.Request("wait", s.wait)
	mux.Request("causes", s.handleCauses)
	mux.Request("ask", ask)
	mux.Stream("items", items)
}

// metaAnswer is the answer to meta.
type metaAnswer struct {
	Trace    string            `json:"trace"` // in hexadecimal: the field as it arrived
	Metadata map[string]string `json:"metadata"`
}

func meta(_ context.Context, r *server.Request) (protocol.Payload, error) {
	trace, _ := r.Meta.Field(protocol.TagTrace)
	answer := metaAnswer{Trace: hex.EncodeToString(trace), Metadata: map[string]string{}}
	for key, value := range r.Meta.Metadata() {
		answer.Metadata[string(key)] = string(value)
	}
	return protocol.JSON(answer)
}

// causes keeps why the requests wait of each connection ended.
type causes struct {
	mu  sync.Mutex
	all map[*server.Conn][]string
}

func (c *causes) forget(conn *server.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, conn)
}

// wait waits until its context ends, and records why.
func (s *Server) wait(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	<-ctx.Done()
	why := "other"
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, context.DeadlineExceeded):
		why = "deadline"
	case errors.Is(cause, context.Canceled):
		why = "cancel"
	}
	s.causes.mu.Lock()
	defer s.causes.mu.Unlock()
	if s.causes.all == nil {
		s.causes.all = make(map[*server.Conn][]string)
	}
	s.causes.all[r.Conn] = append(s.causes.all[r.Conn], why)
	return protocol.Payload{}, ctx.Err()
}

func (s *Server) handleCauses(_ context.Context, r *server.Request) (protocol.Payload, error) {
	s.causes.mu.Lock()
	defer s.causes.mu.Unlock()
	return protocol.Text(strings.Join(s.causes.all[r.Conn], " ")), nil
}

// ask sends the client a request that the payload describes, and answers with its reply.
func ask(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	var want described
	if err := r.Payload.DecodeJSON(&want); err != nil {
		return protocol.Payload{}, badPayload(err)
	}
	p, err := want.payload()
	if err != nil {
		return protocol.Payload{}, badPayload(err)
	}
	reply, err := r.Conn.Request(ctx, want.Name, p)
	for code, refusal := range map[string]error{
		codeAskTooMany:     protocol.ErrTooMany,
		codeAskNoHandler:   protocol.ErrNoHandler,
		codeAskInternal:    protocol.ErrInternal,
		codeAskUnsupported: protocol.ErrUnsupported,
	} {
		if errors.Is(err, refusal) {
			return reply, &protocol.Error{Code: code}
		}
	}
	if refused := (*protocol.Error)(nil); errors.As(err, &refused) { // what a peer refuses is not passed on by itself
		err = &protocol.Error{Code: refused.Code, Message: refused.Message}
	}
	return reply, err
}

// items sends the number of items that the payload says, of the size that it says, and then fails
// with the code, if there is one: "count size code".
func items(_ context.Context, r *server.Request, send func(protocol.Payload) error) error {
	var count, size int
	var code string
	if n, err := fmt.Sscan(r.Payload.Text(), &count, &size, &code); n < 2 || size < 0 || size > MessageSize {
		return badPayload(errors.Join(err, strconv.ErrRange))
	}
	for i := range count {
		item := fmt.Appendf(nil, "%0*d", size, i)
		if err := send(protocol.Payload{Encoding: protocol.UTF8, Data: item}); err != nil {
			return err
		}
	}
	if code != "" {
		return &protocol.Error{Code: code}
	}
	return nil
}
