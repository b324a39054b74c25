package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// ErrNoHello is why a server closes a socket whose client did not say hello in time.
var ErrNoHello = errors.New("webwire: the client did not say hello")

// helloTime is how long a server waits for hello.
const helloTime = 10 * time.Second

// DefaultStreamCredit is the first limit of a streamed reply, in bytes. With half of it both
// ends wait for each other so often that an item takes a fifth more CPU time; twice as much
// gains nothing.
const DefaultStreamCredit = 128 << 10

// Terms are what an end of 3.0 announces besides the longest message that it takes.
type Terms struct {
	Requests     uint16 // of the other end that it takes at once
	StreamCredit uint32 // the first limit of each streamed reply to it, in bytes
}

// TermsOfServer returns what a server's accept-conf announces.
func TermsOfServer(c protocol.Conf) Terms { return termsOf(c.Requests, c.StreamCredit) }

// TermsOfClient returns what a client's hello announces.
func TermsOfClient(h protocol.HelloBody) Terms { return termsOf(h.Requests, h.StreamCredit) }

// termsOf clamps as the encoding of both messages does.
func termsOf(requests, credit int) Terms {
	return Terms{
		uint16(min(max(requests, 0), math.MaxUint16)),
		uint32(min(max(int64(credit), 0), math.MaxUint32)),
	}
}

// AwaitHello opens a socket of 3.0 at the server's end: it writes conf and returns the
// hello of the client, which is the caller's. Before it has written anything else, the
// server answers that with a welcome. After an error the socket is closed: if ctx ends the
// error is its cause, and if hello does not arrive within ten seconds it is ErrNoHello.
func AwaitHello(ctx context.Context, conn transport.Conn, conf protocol.Conf) (protocol.HelloBody, error) {
	// A context with a timeout would do the same, but the runtime keeps what a timer that was
	// stopped refers to for a while: with many connections that is a lot.
	closed := make(chan struct{})
	late := time.AfterFunc(helloTime, func() {
		defer close(closed)
		_ = conn.Close(transport.StatusProtocolError, "no hello") // ErrNoHello says it
	})
	m, err := exchange(ctx, conn, conf.Message(), protocol.Hello)
	if !late.Stop() {
		<-closed
		err = ErrNoHello
	}
	if err != nil {
		return protocol.HelloBody{}, err
	}
	hello, err := m.Hello()
	if tag, ok := m.Head.Unsupported(); ok && err == nil {
		err = fmt.Errorf("%w: hello has the critical field %d", protocol.ErrUnsupported, tag)
	}
	if err != nil {
		_ = conn.Close(transport.StatusProtocolError, "protocol error") // err says more
		return protocol.HelloBody{}, err
	}
	return hello, nil
}

// SayHello opens a socket of 3.0 at the client's end: it writes hello and returns the
// accept-conf of the server. The link then expects protocol.Welcome as the first message,
// which need not be awaited. After an error the socket is closed; if ctx ends the error is
// its cause.
func SayHello(ctx context.Context, conn transport.Conn, hello protocol.HelloBody) (protocol.Conf, error) {
	m, err := exchange(ctx, conn, hello.Message(), protocol.AcceptConf)
	if err != nil {
		return protocol.Conf{}, err
	}
	conf, err := m.Conf()
	if err != nil {
		_ = conn.Close(transport.StatusProtocolError, "protocol error") // err says more
		return protocol.Conf{}, err
	}
	return conf, nil
}

// AwaitWelcome reads the answer to a hello that asked to go on with a connection. After an
// error the socket is closed; if ctx ends the error is its cause.
func AwaitWelcome(ctx context.Context, conn transport.Conn) (protocol.WelcomeBody, error) {
	stop := within(ctx, conn)
	b, err := conn.Read(nil)
	if !stop() {
		return protocol.WelcomeBody{}, context.Cause(ctx)
	}
	var m protocol.Message
	if err == nil {
		m, err = protocol.V3_0.Parse(b)
	}
	var w protocol.WelcomeBody
	if err == nil {
		w, err = m.Welcome()
	}
	if err != nil {
		_ = conn.Close(transport.StatusProtocolError, "protocol error") // err says more
	}
	return w, err
}

// within bounds what is done with a socket by ctx, until stop is called, which reports whether
// ctx had not ended. If it had, the socket is closed. A server that was not told would wait for
// a client that does not come back; but after a deadline there is no time to tell it.
func within(ctx context.Context, conn transport.Conn) (stop func() bool) {
	closed := make(chan struct{})
	before := context.AfterFunc(ctx, func() {
		defer close(closed)
		if ctx.Err() == context.Canceled {
			_ = conn.Close(transport.StatusNormalClosure, "") // the caller learns why from ctx
		} else {
			_ = conn.Abort()
		}
	})
	return func() bool {
		if before() {
			return true
		}
		<-closed
		return false
	}
}

// exchange writes m and at the same time reads the first message of the peer, which must
// be of the kind.
func exchange(ctx context.Context, conn transport.Conn, m protocol.Message, kind protocol.Kind) (protocol.Message, error) {
	first, err := protocol.V3_0.Append(nil, m)
	if err != nil {
		_ = conn.Abort() // nobody can be told more
		return m, err
	}
	stop := within(ctx, conn)
	written := make(chan error, 1)
	go func() { written <- conn.Write(first) }()
	b, err := conn.Read(nil)
	if err != nil {
		// So that the write returns. If the socket is being closed this does nothing.
		_ = conn.Close(transport.StatusNormalClosure, "")
	}
	writeErr := <-written
	if !stop() {
		return m, context.Cause(ctx)
	}
	if err == nil && writeErr != nil {
		_ = conn.Abort() // writeErr says more
		err = writeErr
	}
	if err != nil {
		return m, err
	}
	m, err = protocol.V3_0.Parse(b)
	if err == nil && m.Kind != kind {
		err = fmt.Errorf("%w: first message is %v instead of %v", protocol.ErrMalformed, m.Kind, kind)
	}
	if err != nil {
		_ = conn.Close(transport.StatusProtocolError, "protocol error") // err says more
		return m, err
	}
	return m.Clone(nil), nil
}
