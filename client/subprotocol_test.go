package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Ends that name different sub-protocols do not talk (section 7.1 of PROTOCOL.md).
func TestSubProtocol(t *testing.T) {
	for _, tt := range []struct{ server, client string }{
		{"", ""}, {"chat/1", "chat/1"}, {"chat/1", "chat/2"}, {"chat/1", ""}, {"", "chat/1"},
	} {
		bubble(t, func(t *testing.T) {
			_, ln := serve(t, server.Options{Version: protocol.V2_0, SubProtocol: tt.server, Logger: discard})
			c := dial(t, ln, client.Options{Versions: []protocol.Version{protocol.V2_0}, SubProtocol: tt.client})
			err := c.Connect(context.Background())
			if tt.server == tt.client {
				if err != nil {
					t.Errorf("%q: %v", tt.server, err)
				}
				return
			}
			var mismatch *client.VersionError
			if !errors.As(err, &mismatch) || !strings.Contains(err.Error(), "sub-protocol") {
				t.Errorf("server %q, client %q: %v", tt.server, tt.client, err)
			}
		})
	}
}

// A version without a codec is not spoken.
func TestUnspokenVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{})
		err := dial(t, ln, client.Options{Versions: []protocol.Version{0x0900}}).Connect(context.Background())
		var mismatch *client.VersionError
		if !errors.As(err, &mismatch) {
			t.Errorf("got %v", err)
		}
	})
}
