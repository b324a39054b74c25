package server

import (
	"context"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// WithMeta returns a context with metadata: requests and signals that are sent with it on
// connections of 3.0 carry the fields of head, and the handler at the other end finds them
// in the Meta of its Request or Signal. They replace those of an outer WithMeta. head must
// not be changed any more. Fields other than the trace context, trace state, baggage and
// the application's metadata may not be in it.
//
//	ctx = server.WithMeta(ctx, protocol.Head{}.AppendMetadata("tenant", "7"))
func WithMeta(ctx context.Context, head protocol.Head) context.Context {
	return link.WithMeta(ctx, head)
}

// Meta returns what WithMeta added to ctx, nil if it added nothing. To add a field to the
// metadata of a context, append to a copy:
//
//	head := server.Meta(ctx)
//	ctx = server.WithMeta(ctx, head[:len(head):len(head)].AppendMetadata("tenant", "7"))
func Meta(ctx context.Context) protocol.Head { return link.Meta(ctx) }
