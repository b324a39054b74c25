package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/webwire-go/webwire/protocol"
)

// JSON returns a RequestHandler that decodes the payload from JSON and encodes the result
// of fn as JSON. If the payload cannot be decoded, fn is not called and the client gets an
// error with protocol.CodeBadRequest, whose message says where the payload is wrong and
// contains no Go type names. An empty payload is the zero In.
func JSON[In, Out any](fn func(ctx context.Context, r *Request, in In) (Out, error)) RequestHandler {
	return func(ctx context.Context, r *Request) (protocol.Payload, error) {
		in, err := decodeJSON[In](r.Payload)
		if err != nil {
			return protocol.Payload{}, &protocol.Error{Code: protocol.CodeBadRequest, Message: whyBad(err)}
		}
		out, err := fn(ctx, r, in)
		if err != nil {
			return protocol.Payload{}, err
		}
		return protocol.JSON(out)
	}
}

// JSONSignal returns a SignalHandler that decodes the payload from JSON. A signal whose
// payload cannot be decoded is dropped, and counted in Stats.Dropped. An empty payload is
// the zero In.
func JSONSignal[In any](fn func(ctx context.Context, s *Signal, in In)) SignalHandler {
	return func(ctx context.Context, s *Signal) {
		in, err := decodeJSON[In](s.Payload)
		if err != nil {
			s.Conn.link.Drop()
			return
		}
		fn(ctx, s, in)
	}
}

func decodeJSON[In any](p protocol.Payload) (in In, err error) {
	if len(p.Data) > 0 {
		err = p.DecodeJSON(&in)
	}
	return in, err
}

// whyBad returns the message for a client whose payload cannot be decoded.
func whyBad(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("payload is not valid JSON at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		what := "the payload"
		// Before the last dot there may be names of embedded types.
		if field := kind.Field[strings.LastIndexByte(kind.Field, '.')+1:]; field != "" {
			what = "field " + quoted(field)
		}
		value, _, _ := strings.Cut(kind.Value, " ") // the client's value may follow
		if value == "bool" {
			value = "boolean"
		}
		return fmt.Sprintf("%s is a JSON %s, want %s (at byte %d)", what, value, jsonKind(kind.Type), kind.Offset)
	}
	return "payload is not of the expected JSON form"
}

// jsonKind returns the name of the JSON value that a type is decoded from.
func jsonKind(t reflect.Type) string {
	if t == nil {
		return "another kind"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("an integer of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return fmt.Sprintf("an integer of %d bits that is not negative", t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a base64 string"
		}
		return "an array"
	case reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return jsonKind(t.Elem())
	}
	return "another kind"
}
