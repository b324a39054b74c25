package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// A client acknowledges what arrives as long as the server keeps it, also if the client
// itself does not resume its connections.
func TestAcknowledgements(t *testing.T) {
	for name, test := range map[string]struct {
		opts   client.Options
		window time.Duration
		acks   bool
	}{
		"autoconnect":                  {client.Options{}, time.Minute, true},
		"no autoconnect":               {client.Options{DisableAutoconnect: true}, time.Minute, true},
		"the server resumes nothing":   {client.Options{}, 0, false},
		"neither end resumes anything": {client.Options{DisableAutoconnect: true}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, p := welcomed(t, test.opts, test.window)
				var acked []uint64
				go func() {
					for {
						b, err := p.conn.Read(nil)
						if err != nil {
							return
						}
						if m, err := p.version.Parse(b); err == nil && m.Kind == protocol.Ack {
							acked = append(acked, m.Number)
						}
					}
				}()
				for range 300 {
					p.send(protocol.Message{Kind: protocol.Signal, Name: "s"})
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				switch {
				case !test.acks && len(acked) > 0:
					t.Errorf("acknowledged %v to a server that keeps nothing", acked)
				case test.acks && (len(acked) != 2 || acked[0] != 256 || acked[1] != 300):
					t.Errorf("acknowledged %v", acked)
				}
			})
		})
	}
}
