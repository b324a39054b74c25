package link

// Stats counts what a connection did. It can be added up.
type Stats struct {
	Sent, Received           uint64 // messages
	BytesSent, BytesReceived uint64 // of messages, without the framing of the transport
	Dropped                  uint64 // messages that were received and not handled
}

// Add adds other to s.
func (s *Stats) Add(other Stats) {
	s.Sent += other.Sent
	s.Received += other.Received
	s.BytesSent += other.BytesSent
	s.BytesReceived += other.BytesReceived
	s.Dropped += other.Dropped
}

// countReceived counts a message of so many bytes.
func (l *Link) countReceived(size int) {
	l.received.Add(1)
	l.receivedBytes.Add(uint64(size))
}

// Stats returns the counts so far.
func (l *Link) Stats() Stats {
	s := Stats{
		Received:      l.received.Load(),
		BytesReceived: l.receivedBytes.Load(),
		Dropped:       l.tasks.Dropped(),
	}
	s.Sent, s.BytesSent = l.out.Counts()
	return s
}

// InFlight returns the number of own requests without an outcome, and the number
// of tasks that wait or run.
func (l *Link) InFlight() (requests, tasks int) {
	return int(l.state.waiting.Load()), l.tasks.Count()
}
