package server

// Stats is what a server did and does, for a metrics library to poll.
type Stats struct {
	Open     int // connections now
	Sessions int // sessions that connections have now
	InFlight int // requests and signals whose handlers run or wait now

	Accepted                 uint64 // connections so far
	Sent, Received           uint64 // messages so far
	BytesSent, BytesReceived uint64 // of messages, without the framing of the transport
	Dropped                  uint64 // messages that were received and not handled so far
}

// Stats returns the counts of now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	counts := s.past
	st := Stats{Accepted: s.accepted, Open: len(s.conns)}
	for _, c := range s.conns {
		counts.Add(c.link.Stats())
		_, tasks := c.link.InFlight()
		st.InFlight += tasks
	}
	s.mu.Unlock()
	st.Sessions = s.sessions.count()
	st.Sent, st.Received = counts.Sent, counts.Received
	st.BytesSent, st.BytesReceived = counts.BytesSent, counts.BytesReceived
	st.Dropped = counts.Dropped
	return st
}
