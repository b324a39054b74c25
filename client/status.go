package client

import "context"

// Status is the state of a client's connection.
type Status uint8

const (
	Disconnected Status = iota // not connected, and not about to be
	Connecting                 // connecting, or waiting to try again
	Connected
	Resuming // the connection has lost its socket, and is to go on with another: requests and signals wait
	Closed   // for good
)

// String returns the name of the status in lower case.
func (s Status) String() string {
	switch s {
	case Disconnected:
		return "disconnected"
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Resuming:
		return "resuming"
	case Closed:
		return "closed"
	}
	return "unknown"
}

// Status returns the current status.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// AwaitChange waits until the status differs from from, and returns it. It may miss a
// status that does not last. The error is ctx.Err(), or ErrClosed if from is Closed, which
// is the last status.
//
//	for s := client.Disconnected; ; {
//		if s, err = c.AwaitChange(ctx, s); err != nil {
//			return err
//		}
//		show(s)
//	}
func (c *Client) AwaitChange(ctx context.Context, from Status) (Status, error) {
	for {
		c.mu.Lock()
		status, changed := c.status, c.changed
		c.mu.Unlock()
		if status != from {
			return status, nil
		}
		if status == Closed {
			return status, ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status, ctx.Err()
		}
	}
}

// setStatus changes the status and wakes those that wait for that. The caller holds mu.
func (c *Client) setStatus(s Status) {
	if c.status == Closed || c.status == s {
		return
	}
	c.status = s
	c.notify()
}

// notify wakes those that wait for a change. The caller holds mu.
func (c *Client) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Stats is a snapshot of a client's counters, for a metrics library to poll.
type Stats struct {
	PendingRequests int // requests that were sent and have no outcome yet

	Connects                 uint64 // connections so far; all but the first are reconnects
	Resumes                  uint64 // times that a connection went on with another socket so far
	Attempts                 uint64 // attempts to open a socket so far
	Sent, Received           uint64 // messages so far
	BytesSent, BytesReceived uint64 // of messages, without the framing of the transport
	Dropped                  uint64 // messages so far that were received and not handled: late replies, signals without a handler
}

// Stats returns a snapshot of the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.past
	s := Stats{Connects: c.connects, Resumes: c.resumes, Attempts: c.attempts}
	if l := c.link.Load(); l != nil {
		counts.Add(l.Stats())
		s.PendingRequests, _ = l.InFlight()
	}
	s.Sent, s.Received = counts.Sent, counts.Received
	s.BytesSent, s.BytesReceived = counts.BytesSent, counts.BytesReceived
	s.Dropped = counts.Dropped + c.unhandled.Load()
	return s
}
