package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/transport"
)

// dialGrace is the time that a call of the dialer has to return once its context
// ended. One that takes notice of that needs less: it does not outlive its attempt,
// and its error, which says more than the context's, is not lost.
const dialGrace = 100 * time.Millisecond

var errDialerExited = errors.New("dialer called runtime.Goexit")

var (
	errHeaderPanicked      = errors.New("Options.Header panicked")
	errCredentialsPanicked = errors.New("Options.Credentials panicked")
)

// answer is what a call of the dialer, or of Options.Header, returned.
type answer struct {
	conn   transport.Conn // of Dial
	body   []byte         // of Probe, or of Options.Credentials
	header http.Header    // of Options.Header
	err    error
}

// drop releases what came too late.
func (a answer) drop() {
	if a.err == nil && a.conn != nil {
		_ = a.conn.Abort()
	}
}

func (c *Client) callHeader(ctx context.Context) (http.Header, error) {
	if c.opts.Header == nil {
		return nil, nil
	}
	a := c.callDialer(ctx, "Options.Header", func() answer {
		a := answer{err: errHeaderPanicked}
		tasks.Run(&within{hook{c, "Options.Header", func() { a.header, a.err = c.opts.Header(ctx) }}})
		return a
	})
	return a.header, a.err
}

func (c *Client) callCredentials(ctx context.Context) ([]byte, error) {
	a := c.callDialer(ctx, "Options.Credentials", func() answer {
		a := answer{err: errCredentialsPanicked}
		tasks.Run(&within{hook{c, "Options.Credentials", func() { a.body, a.err = c.opts.Credentials(ctx) }}})
		return a
	})
	return a.body, a.err
}

func (c *Client) callDial(ctx context.Context, header http.Header) (transport.Conn, error) {
	a := c.callDialer(ctx, "the dialer", func() (a answer) {
		a.conn, a.err = c.dialer.Dial(ctx, transport.DialOptions{Protocols: c.tokens(), Header: header, Limits: c.opts.limits()})
		return a
	})
	return a.conn, a.err
}

func (c *Client) callProbe(ctx context.Context, p transport.Prober, header http.Header) ([]byte, error) {
	a := c.callDialer(ctx, "the dialer", func() (a answer) {
		a.body, a.err = p.Probe(ctx, transport.DialOptions{Header: header})
		return a
	})
	return a.body, a.err
}

// callDialer makes a call of the dialer, or of a function of Options, and is back when ctx
// ends even if the call is not. What the call returns after that is dropped. Calls that
// nobody waits for any more must not pile up: there is one at a time. Errors name what is
// called.
func (c *Client) callDialer(ctx context.Context, what string, call func() answer) answer {
	if err := ctx.Err(); err != nil {
		return answer{err: err}
	}
	select {
	case c.dialling <- struct{}{}:
	case <-ctx.Done():
		return answer{err: fmt.Errorf("an earlier call of the dialer, or of Options.Header or Options.Credentials, has not returned: %w", ctx.Err())}
	}
	answers, left := make(chan answer), make(chan struct{})
	defer close(left)
	go func() {
		a := answer{err: errDialerExited}
		defer func() {
			<-c.dialling
			select {
			case answers <- a:
			case <-left:
				a.drop()
			}
		}()
		a = call()
	}()
	var a answer
	select {
	case a = <-answers:
	case <-ctx.Done():
		select {
		case a = <-answers:
		case <-time.After(dialGrace):
			return answer{err: fmt.Errorf("%s has not returned: %w", what, ctx.Err())}
		}
	}
	if a.err == nil && ctx.Err() != nil {
		a.drop()
		return answer{err: ctx.Err()}
	}
	return a
}
