package main

import (
	"errors"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsRequest has a server between the two ends, as NATS does: its client
// multiplexes requests over one subscription and writes in batches by itself.
var natsRequest = contender{
	name: "nats", kind: peer,
	about: "NATS request-reply, nats-server in this process over TCP, one responding connection",
	serve: func(size int) (server, error) {
		s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true})
		if err != nil {
			return server{}, err
		}
		go s.Start()
		if !s.ReadyForConnections(5 * time.Second) {
			return server{}, errors.New("nats-server does not start")
		}
		responder, err := nats.Connect(s.ClientURL())
		if err != nil {
			return server{}, err
		}
		_, err = responder.Subscribe(name, func(m *nats.Msg) {
			m.Respond(m.Data) // if it fails, so does the request
		})
		if err == nil {
			_, err = responder.Subscribe(natsSignal, func(*nats.Msg) {})
		}
		if err == nil {
			err = responder.Flush()
		}
		if err != nil {
			return server{}, err
		}
		stop := func() {
			responder.Close()
			s.Shutdown()
		}
		return server{close: stop, dial: func() (conn, error) {
			c, err := nats.Connect(s.ClientURL())
			return &natsConn{Conn: c, msg: payload(size)}, err
		}}, nil
	},
}

const natsSignal = "chat.room.signal"

type natsConn struct {
	*nats.Conn
	msg []byte
	ctx callContext
}

func (c *natsConn) limited() conn { return &natsConn{c.Conn, c.msg, true} }

func (c *natsConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error { return c.call })
}

func (c *natsConn) call() error {
	reply, err := c.request()
	if err != nil {
		return err
	}
	return checkReply(len(reply.Data), len(c.msg))
}

// request calls with a timeout, or with a context if there is a deadline per call:
// RequestWithContext needs a context that ends.
func (c *natsConn) request() (*nats.Msg, error) {
	if !c.ctx {
		return c.Request(name, c.msg, patience)
	}
	ctx, cancel := c.ctx.new()
	defer cancel()
	return c.RequestWithContext(ctx, name, c.msg)
}

// signal publishes. The responder is slower than publishers; a round trip every so
// often keeps it from being cut off.
func (c *natsConn) signal(r *run) error {
	l := r.lane()
	for !r.over() {
		for range 1000 {
			if err := c.Publish(natsSignal, c.msg); err != nil {
				return err
			}
			l.count++
		}
		if _, err := c.Request(name, c.msg, patience); err != nil {
			return err
		}
	}
	return nil
}

func (c *natsConn) close() { c.Close() }
