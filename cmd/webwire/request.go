package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

const requestHelp = `PAYLOAD is sent as UTF-8 text; - is the standard input. The payload of the reply
goes to the standard output: text with a newline at its end, binary as it is, or
as a dump if that is a terminal. The error of the server goes to standard error.
`

// answer is the JSON form of the outcome of a request.
type answer struct {
	OK      bool     `json:"ok"`
	Payload *payload `json:"payload,omitempty"`
	Code    string   `json:"code,omitempty"` // that the server's application chose
	Error   string   `json:"error,omitempty"`
	MS      float64  `json:"ms,omitempty"` // from sending to the reply
}

func request(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := sendingFlags(flags)
	c, within, stop, err := conn.open(ctx, p, flags, args)
	if err != nil {
		return conn.unopened(p, err)
	}
	defer stop()
	began := time.Now()
	got, err := c.Request(within, conn.name, conn.load)
	took := time.Since(began)
	if conn.json {
		a := answer{OK: err == nil, MS: float64(took.Microseconds()) / 1000}
		if err == nil {
			a.Payload = newPayload(got)
		} else {
			a.Code, a.Error = protocol.CodeOf(err), err.Error()
		}
		newPrinter(p.stdout, true).object(a)
		if err != nil {
			return silentError{err}
		}
		return nil
	}
	if err != nil {
		return outcome(err, conn.timeout)
	}
	return reply(p.stdout, got)
}

// unopened returns why there is no connection, and prints it if that is to be JSON.
func (s *sending) unopened(p *program, err error) error {
	if !s.json || asUsage(err) {
		return err
	}
	newPrinter(p.stdout, true).object(answer{Error: err.Error()})
	return silentError{err}
}

// outcome returns the error of a request in the words of the command.
func outcome(err error, timeout time.Duration) error {
	var refusal *protocol.Error
	switch {
	case errors.As(err, &refusal):
		return explained{fmt.Sprintf("the server refused the request: %s: %s", refusal.Code, refusal.Message), err}
	case errors.Is(err, context.DeadlineExceeded) && client.MaybeExecuted(err):
		return explained{fmt.Sprintf("no reply within %v; the server may have executed the request", timeout), err}
	}
	return err
}

// explained is an error with another text.
type explained struct {
	text string
	error
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.error }
