package server

import (
	"context"

	"github.com/webwire-go/webwire/protocol"
)

// Typed makes a RequestHandler of a function with a JSON argument and a JSON result. A
// payload that is not the JSON form of an In is refused with the code "BAD_REQUEST";
// an empty payload is the zero In.
func Typed[In, Out any](fn func(ctx context.Context, r *Request, in In) (Out, error)) RequestHandler {
	return func(ctx context.Context, r *Request) (protocol.Payload, error) {
		var in In
		if len(r.Payload.Data) > 0 {
			if err := r.Payload.DecodeJSON(&in); err != nil {
				return protocol.Payload{}, &protocol.Error{Code: "BAD_REQUEST", Message: err.Error()}
			}
		}
		out, err := fn(ctx, r, in)
		if err != nil {
			return protocol.Payload{}, err
		}
		return protocol.JSON(out)
	}
}
