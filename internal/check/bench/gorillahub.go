package main

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// gorillaHub is the hub of the library's chat example, with a PreparedMessage, which
// its documentation advises for broadcasts: each message is framed once.
type gorillaHub struct {
	join  chan *gorillaMember
	leave chan *gorillaMember
	say   chan *websocket.PreparedMessage
	ended chan struct{}
	size  atomic.Int64
}

type gorillaMember struct {
	hub   *gorillaHub
	conn  *websocket.Conn
	queue chan *websocket.PreparedMessage
}

const (
	gorillaQueue        = 256
	gorillaWriteTimeout = 10 * time.Second
)

func (h *gorillaHub) run() {
	members := map[*gorillaMember]bool{}
	drop := func(m *gorillaMember) {
		if members[m] {
			delete(members, m)
			close(m.queue)
		}
	}
	for {
		select {
		case m := <-h.join:
			members[m] = true
		case m := <-h.leave:
			drop(m)
		case msg := <-h.say:
			for m := range members {
				select {
				case m.queue <- msg:
				default:
					drop(m)
				}
			}
		case <-h.ended:
			return
		}
		h.size.Store(int64(len(members)))
	}
}

// read ends when the connection does.
func (m *gorillaMember) read() {
	defer m.conn.Close()
	for {
		if _, _, err := m.conn.NextReader(); err != nil {
			break
		}
	}
	select {
	case m.hub.leave <- m:
	case <-m.hub.ended:
	}
}

func (m *gorillaMember) write() {
	defer m.conn.Close()
	for {
		select {
		case msg, ok := <-m.queue:
			if !ok {
				return
			}
			m.conn.SetWriteDeadline(time.Now().Add(gorillaWriteTimeout))
			if m.conn.WritePreparedMessage(msg) != nil {
				return
			}
		case <-m.hub.ended:
			return
		}
	}
}

func gorillaFanout(int) (broadcaster, error) {
	h := &gorillaHub{
		join:  make(chan *gorillaMember),
		leave: make(chan *gorillaMember),
		say:   make(chan *websocket.PreparedMessage),
		ended: make(chan struct{}),
	}
	go h.run()
	up := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	addr, stop, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		m := &gorillaMember{h, c, make(chan *websocket.PreparedMessage, gorillaQueue)}
		select {
		case h.join <- m:
			go m.write()
			go m.read()
		case <-h.ended:
			c.Close()
		}
	}))
	msg := signalBytes()
	return broadcaster{
		addr:  addr,
		count: func() int { return int(h.size.Load()) },
		send: func() error {
			prepared, err := websocket.NewPreparedMessage(websocket.BinaryMessage, msg)
			if err == nil {
				h.say <- prepared
			}
			return err
		},
		close: func() { stop(); close(h.ended) },
	}, err
}
