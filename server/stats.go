package server

// Stats are the counts of a server, for a metrics library to poll.
type Stats struct {
	// Gauges.
	Open     int // connections
	Away     int // connections of 3.0 that have lost their socket
	Sessions int // sessions that connections have
	InFlight int // requests and signals whose handlers are running or waiting
	Topics   int // that this node has subscribed to at the engine
	Nodes    int // that are alive, with this one; zero until Options.Engine is open

	// Counters since the server was made.
	Accepted                 uint64 // connections, and those that other nodes handed over
	Resumes                  uint64 // times that a connection of 3.0 went on with another socket
	Sent, Received           uint64 // messages
	BytesSent, BytesReceived uint64 // of messages, without the framing of the transport
	Dropped                  uint64 // messages that were received and not handled
	DroppedPublications      uint64 // that a member did not get, see TopicOptions.Overflow
	TopicGaps                uint64 // gaps in topics that the log could not fill
	EngineErrors             uint64 // of Options.Engine
}

// Stats returns the current counts. Its cost is proportional to the number of connections
// and sessions.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	counts := s.past
	st := Stats{Accepted: s.accepted, Open: len(s.conns), Away: s.away}
	for _, c := range s.conns {
		counts.Add(c.link.Stats())
		_, tasks := c.link.InFlight()
		st.InFlight += tasks
	}
	s.mu.Unlock()
	st.Resumes = s.resumes.Load()
	st.Sessions = s.sessions.count()
	st.Topics, st.Nodes = s.topics.count(), s.topics.nodes()
	st.DroppedPublications, st.TopicGaps = s.topics.dropped.Load(), s.topics.gaps.Load()
	st.EngineErrors = s.topics.errors.Load()
	st.Sent, st.Received = counts.Sent, counts.Received
	st.BytesSent, st.BytesReceived = counts.BytesSent, counts.BytesReceived
	st.Dropped = counts.Dropped
	return st
}
