package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
)

// kind says what a contender is.
type kind int

const (
	ours kind = iota // WebWire on one of its transports
	raw              // echo of messages, without anything that matches replies to requests
	peer             // a library of: requests and replies
)

// A contender echoes payloads over the loopback interface. Its client and its
// server are in this process, as those of every other one.
type contender struct {
	name  string
	kind  kind
	about string // how it is set up, for the report

	// serve starts a server. The payloads will have the given size in bytes.
	serve func(size int) (server, error)
}

// server is a running server of a contender.
type server struct {
	addr  string // of those that are measured idle
	dial  func() (conn, error)
	close func()
}

// conn is a client's connection.
type conn interface {
	// load keeps depth requests in flight until r is over, and returns once
	// all of them are answered.
	load(depth int, r *run) error
	close()
}

// signaller is a conn that can send messages one way.
type signaller interface {
	// signal sends until r is over, and returns once all of that was received.
	signal(r *run) error
}

// streamer is a conn of a library with streamed replies.
type streamer interface {
	// stream makes one request, receives the items of its reply, which are as long as
	// what is echoed, until r is over, and ends it early.
	stream(r *run) error
}

// contenders are all of them, in the order of the report. Every one is made by the
// file that has its name.
var contenders = slices.Concat(webwires, []contender{
	nhooyrEcho, coderEcho, gorillaEcho, gwsEcho, gobwasEcho, tcpEcho, tcpCallers,
	grpcUnary, connectRPC, natsRequest, centrifugeRPC, netRPC, jrpc2Calls, drpcUnary,
})

// name is the name of the requests, of 16 bytes, where requests have names.
const name = "chat.room.say-it"

// payload returns what is echoed. Text, so that JSON need not encode it.
func payload(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

func checkReply(got, want int) error {
	if got != want {
		return fmt.Errorf("a reply of %d bytes, want %d", got, want)
	}
	return nil
}

// listen listens on the loopback interface.
func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// serveHTTP serves h and returns where.
func serveHTTP(h http.Handler) (addr string, close func(), err error) {
	l, err := listen()
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	return l.Addr().String(), func() { s.Close() }, nil
}

// serveConns has handle called with each connection that is accepted.
func serveConns(handle func(net.Conn)) (addr string, close func(), err error) {
	l, err := listen()
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	return l.Addr().String(), func() { l.Close() }, nil
}
