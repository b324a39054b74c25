package client_test

import (
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// What the server of a scenario does.

func (st *stage) write(m protocol.Message) {
	b, err := st.version.Append(nil, m)
	if err == nil {
		err = st.peer.conn.Write(b)
	}
	if err != nil {
		st.t.Error(err)
	}
}

func (st *stage) reply(id protocol.ID, with string) {
	var err error
	what, rest, _ := strings.Cut(with, " ")
	switch {
	case with == "ok":
		st.write(protocol.Message{Kind: protocol.Reply, ID: id})
		return
	case with == "nonsense":
		st.write(protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.Text("nonsense")})
		return
	case what == "session":
		st.write(protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: st.session(rest)}})
		return
	case what == "error":
		err = &protocol.Error{Code: rest}
	case with == "not found":
		err = protocol.ErrSessionNotFound
	case with == "full":
		err = protocol.ErrSessionFull
	case with == "disabled":
		err = protocol.ErrSessionsDisabled
	case with == "shutdown":
		err = protocol.ErrShutdown
	case with == "internal":
		err = protocol.ErrInternal
	default:
		st.t.Errorf("no reply %q", with)
	}
	st.write(st.version.Failure(id, err))
}

func (st *stage) say(what string) {
	kind, rest, _ := strings.Cut(what, " ")
	switch {
	case what == "created nonsense":
		if err := st.peer.conn.Write([]byte("\x15nonsense")); err != nil {
			st.t.Error(err)
		}
	case kind == "created":
		st.write(protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: st.session(rest)}})
	case kind == "closed":
		st.write(protocol.Message{Kind: protocol.SessionClosed})
	case kind == "signal":
		st.write(protocol.Message{Kind: protocol.Signal, Name: rest, Payload: protocol.Text("x")})
	default:
		st.t.Errorf("no message %q", what)
	}
}

func (st *stage) session(key string) []byte {
	data, err := st.version.AppendSession(nil, protocol.Session{Key: key, Created: time.Now()})
	if err != nil {
		st.t.Error(err)
	}
	return data
}

// next returns the next message of the client that scenarios speak of.
func (st *stage) next() (protocol.Message, bool) {
	for st.peer != nil {
		b, ok := st.peer.take()
		if !ok {
			break
		}
		m, err := st.version.Parse(b)
		if err != nil {
			st.t.Errorf("the client sent %q: %v", b, err)
		}
		if heard(m.Kind) && m.Kind != protocol.Cancel {
			return m, true
		}
	}
	return protocol.Message{}, false
}

func (st *stage) describe(m protocol.Message) string {
	switch m.Kind {
	case protocol.RestoreSession:
		return "restore " + m.Payload.Text()
	case protocol.CloseSession:
		return "close session"
	case protocol.Request, protocol.Signal:
		return m.Kind.String() + " " + m.Name
	}
	return m.Kind.String()
}

// farEnd is the server's end of a connection, which reads all the time.
type farEnd struct {
	conn transport.Conn

	mu    sync.Mutex
	msgs  [][]byte
	ended bool
}

func newFarEnd(conn transport.Conn) *farEnd {
	f := &farEnd{conn: conn}
	conn.(transport.SilenceAllower).AllowSilence()
	go func() {
		for {
			b, err := conn.Read(nil)
			f.mu.Lock()
			if err != nil {
				f.ended = true
				f.mu.Unlock()
				return
			}
			f.msgs = append(f.msgs, b)
			f.mu.Unlock()
		}
	}()
	return f
}

func (f *farEnd) take() ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.msgs) == 0 {
		return nil, false
	}
	b := f.msgs[0]
	f.msgs = f.msgs[1:]
	return b, true
}

func (f *farEnd) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

func (f *farEnd) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.msgs = nil
}
