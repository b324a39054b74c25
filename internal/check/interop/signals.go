package interop

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// described is a message as the JSON of the contract has it.
type described struct {
	Name     string `json:"name"`
	Encoding string `json:"encoding"`
	Hex      string `json:"hex"`
}

func describe(name string, p protocol.Payload) described {
	return described{name, p.Encoding.String(), hex.EncodeToString(p.Data)}
}

func (d described) payload() (p protocol.Payload, err error) {
	if p.Data, err = hex.DecodeString(d.Hex); err != nil {
		return p, err
	}
	for _, e := range encodings {
		if e.String() == d.Encoding {
			p.Encoding = e
			return p, nil
		}
	}
	return p, fmt.Errorf("unknown encoding %q", d.Encoding)
}

var encodings = []protocol.Encoding{protocol.Binary, protocol.UTF8, protocol.UTF16}

// signalLogs keeps the signals of every connection.
type signalLogs struct {
	mu  sync.Mutex
	all map[*server.Conn][]described
}

func (l *signalLogs) record(_ context.Context, s *server.Signal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[*server.Conn][]described)
	}
	l.all[s.Conn] = append(l.all[s.Conn], describe(s.Name, s.Payload))
}

// of returns the signals of a connection so far, never nil.
func (l *signalLogs) of(c *server.Conn) []described {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]described{}, l.all[c]...)
}

func (l *signalLogs) forget(c *server.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, c)
}
