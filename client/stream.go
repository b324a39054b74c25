package client

import (
	"context"
	"io"
	"iter"
	"sync/atomic"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// Stream sends a request whose reply is streamed, and returns an iterator over the items:
//
//	for p, err := range c.Stream(ctx, "log.tail", protocol.Text("app")) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(p.Text())
//	}
//
// The request is sent when the iteration begins. A second iteration sends nothing and yields
// an error, for which MaybeExecuted returns true because of the first. Leaving the
// loop cancels the request. Each item belongs to the caller. An error comes once, as the
// last element, and is one of those of Request; a server that speaks a version before 3.0
// makes it an error that wraps protocol.ErrUnsupported. Items are received as far as the
// loop takes them, with at most 128 KiB on their way.
//
// ctx limits the whole iteration. Options.Timeout limits only the wait for a connection.
func (c *Client) Stream(ctx context.Context, name string, p protocol.Payload) iter.Seq2[protocol.Payload, error] {
	var used atomic.Bool
	return func(yield func(protocol.Payload, error) bool) {
		if used.Swap(true) {
			yield(protocol.Payload{}, errStreamUsed)
			return
		}
		if err := c.enter(); err != nil {
			yield(protocol.Payload{}, err)
			return
		}
		defer c.exit()
		w := waiter{purpose: toRequest}
		for {
			l, s, err := c.openStream(ctx, &w, name, p)
			if err != nil {
				yield(protocol.Payload{}, c.outcome(ctx, &w, l, err))
				return
			}
			items, err := readStream(s, yield)
			if err == nil {
				return
			}
			if !c.again(&w, l, err) || items {
				yield(protocol.Payload{}, c.outcome(ctx, &w, l, err))
				return
			}
		}
	}
}

// readStream yields the items of a stream. It reports whether there were any, and returns
// the error after them, nil if there is none or no more is wanted.
func readStream(s *link.Stream, yield func(protocol.Payload, error) bool) (items bool, err error) {
	defer s.Close()
	for {
		item, err := s.Next()
		switch {
		case err == io.EOF:
			return items, nil
		case err != nil:
			return items, err
		case !yield(item, nil):
			return true, nil
		}
		items = true
	}
}

func (c *Client) openStream(ctx context.Context, w *waiter, name string, p protocol.Payload) (*link.Link, *link.Stream, error) {
	for {
		l, _, err := c.await(ctx, w)
		if err != nil {
			return nil, nil, err
		}
		s, err := l.Stream(ctx, protocol.Message{Kind: protocol.Request, Name: name, Payload: p}, 0)
		if err == nil || !c.again(w, l, err) {
			return l, s, err
		}
	}
}

// CallStream is Client.Stream with a JSON argument and items that are JSON. An item that
// cannot be decoded ends the iteration.
func CallStream[Out, In any](ctx context.Context, c *Client, name string, in In) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var none Out
		p, err := protocol.JSON(in)
		if err != nil {
			yield(none, &link.UnsentError{Err: err})
			return
		}
		for item, err := range c.Stream(ctx, name, p) {
			var out Out
			if err == nil {
				err = item.DecodeJSON(&out)
			}
			if err != nil {
				yield(none, err)
				return
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}
