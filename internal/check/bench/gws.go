package main

import (
	"io"
	"net/http"

	"github.com/lxzan/gws"
)

// gwsEcho answers in the library's callback, without copying, which is how the
// library is meant to be used. Its messages are pooled.
var gwsEcho = contender{
	name: "raw/gws", kind: raw,
	about: "github.com/lxzan/gws, answers in OnMessage, no compression, no check of UTF-8, one write per message",
	serve: func(size int) (server, error) {
		up := gws.NewUpgrader(gwsServer{}, &gws.ServerOption{})
		addr, stop, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r)
			if err != nil {
				return
			}
			go c.ReadLoop()
		}))
		if err != nil {
			return server{}, err
		}
		return server{addr: addr, close: stop, dial: func() (conn, error) {
			c := &gwsClient{gone: make(chan struct{}), msg: payload(size)}
			socket, _, err := gws.NewClient(c, &gws.ClientOption{Addr: "ws://" + addr})
			if err != nil {
				return nil, err
			}
			c.socket = socket
			go socket.ReadLoop()
			return c, nil
		}}, nil
	},
}

type gwsServer struct{ gws.BuiltinEventHandler }

func (gwsServer) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if b := m.Bytes(); len(b) == 0 || b[0] != oneWay {
		c.WriteMessage(m.Opcode, b) // if it fails, so does the reading
	}
}

// gwsClient is echoConn for a library that calls back. What is to be done with a
// message is decided by the load at work.
type gwsClient struct {
	gws.BuiltinEventHandler
	socket *gws.Conn
	msg    []byte
	gone   chan struct{}
	window *gwsWindow
}

// gwsWindow is what the callback works on.
type gwsWindow struct {
	*window
	begun   chan struct{} // closed once the first messages are sent, nil with credits
	credits chan struct{} // to a writer; nil if the callback itself writes
	end     chan error
	open    bool // credits are
}

func (c *gwsClient) OnClose(*gws.Conn, error) { close(c.gone) }

func (c *gwsClient) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close()
	w := c.window // set before the first message was sent
	w.got()
	err := checkReply(m.Data.Len(), len(c.msg))
	switch {
	case err != nil:
	case !w.next():
		if w.credits != nil && w.open {
			w.open = false
			close(w.credits)
		}
	case w.credits != nil:
		w.credits <- struct{}{}
	default:
		<-w.begun
		w.sending()
		err = c.write(c.msg)
	}
	if err != nil || w.done() {
		w.end <- err
	}
}

func (c *gwsClient) write(msg []byte) error { return c.socket.WriteMessage(gws.OpcodeBinary, msg) }

func (c *gwsClient) load(depth int, r *run) error {
	w := &gwsWindow{window: newWindow(depth, r), end: make(chan error, 2), open: true, begun: make(chan struct{})}
	if depth*len(c.msg) > maxLoop {
		w.credits = make(chan struct{}, depth) // see echoConn.duplex
	}
	c.window = w
	for range depth {
		w.sending()
		if err := c.write(c.msg); err != nil {
			return err
		}
	}
	close(w.begun)
	if w.credits != nil {
		for range w.credits {
			w.sending()
			if err := c.write(c.msg); err != nil {
				return err
			}
		}
	}
	return c.await(w)
}

func (c *gwsClient) await(w *gwsWindow) error {
	select {
	case err := <-w.end:
		return err
	case <-c.gone:
		return io.ErrUnexpectedEOF
	}
}

func (c *gwsClient) signal(r *run) error {
	l := r.lane()
	msg := append([]byte(nil), c.msg...)
	msg[0] = oneWay
	for !r.over() {
		if err := c.write(msg); err != nil {
			return err
		}
		l.count++
	}
	w := &gwsWindow{window: newWindow(1, r), end: make(chan error, 2)}
	c.window = w
	if err := c.write(c.msg); err != nil {
		return err
	}
	return c.await(w)
}

func (c *gwsClient) close() { c.socket.NetConn().Close() }
