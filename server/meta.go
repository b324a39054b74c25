package server

import (
	"context"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// WithMeta returns a context with metadata: requests, signals and publications that are sent
// with it on connections of 3.0 carry the fields of head, and the other end finds them in the
// Meta of its Request, Signal or Message. They replace those of an outer WithMeta. Broadcast,
// Server.SignalSession and Server.SignalAll send none. head must not be changed any more. A
// message whose fields take more than 8 KiB is not sent: the error wraps
// protocol.ErrMalformed. Fields other than the trace context, trace state, baggage and the
// application's metadata may not be in it.
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
