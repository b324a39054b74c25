package server_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// A server acknowledges what arrives if clients may keep it: not with a negative ResumeWindow.
func TestAcknowledgements(t *testing.T) {
	for name, test := range map[string]struct {
		window time.Duration
		acks   bool
	}{
		"resumes":  {0, true},
		"does not": {-1, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv := server.New(server.Options{Version: protocol.V3_0, ResumeWindow: test.window, Logger: discard})
				p, _, err := sayHello(t, t.Context(), srv, protocol.HelloBody{})
				if err != nil {
					t.Fatal(err)
				}
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
				p.signal("s", "x")
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if test.acks != (len(acked) == 1 && acked[0] == 1) {
					t.Errorf("acknowledged %v", acked)
				}
				_ = p.conn.Close(transport.StatusNormalClosure, "")
				_ = p.wait()
			})
		})
	}
}
