package link

import (
	"context"

	"github.com/webwire-go/webwire/protocol"
)

// metaKey is the key of the fields that WithMeta adds.
type metaKey struct{}

// WithMeta returns a context whose requests, signals and publications carry the fields of
// head on connections of 3.0. They replace those of an outer WithMeta. head must not be changed
// any more.
func WithMeta(ctx context.Context, head protocol.Head) context.Context {
	return context.WithValue(ctx, metaKey{}, head)
}

// Meta returns the fields that WithMeta added last, nil if there are none.
func Meta(ctx context.Context) protocol.Head {
	head, _ := ctx.Value(metaKey{}).(protocol.Head)
	return head
}

// addMeta gives m the fields of WithMeta, unless it has fields of its own.
func (l *Link) addMeta(ctx context.Context, m *protocol.Message) {
	if len(m.Head) > 0 || m.Kind != protocol.Request && m.Kind != protocol.Signal {
		return
	}
	m.Head = Meta(ctx)
}
