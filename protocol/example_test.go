package protocol_test

import (
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/protocol"
)

// A server's round: it parses what came, and appends its answer to a buffer that
// it uses again and again.
func Example() {
	received := []byte("\x80\x01\x00\x00\x00\x00\x00\x00\x00\x08chat.sayhello")
	var buf []byte

	m, err := protocol.V1_2.Parse(received)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Kind, m.ID.Uint64(), m.Name, m.Payload.Encoding, m.Payload.Text())

	buf, err = protocol.V1_2.Append(buf[:0], protocol.Message{
		Kind:    protocol.Reply,
		ID:      m.ID,
		Payload: protocol.Text("said"),
	})
	fmt.Printf("%q %v\n", buf, err)
	// Output:
	// request 1 chat.say utf8 hello
	// "\xc0\x01\x00\x00\x00\x00\x00\x00\x00said" <nil>
}

// Every error about a message wraps ErrMalformed. What could be told of a
// malformed request is there to answer it.
func ExampleVersion_Parse_malformed() {
	v := protocol.V1_4
	m, err := v.Parse([]byte("\x7f\x01\x00\x00\x00\x00\x00\x00\x00\x09name"))
	fmt.Println(err)
	fmt.Println(errors.Is(err, protocol.ErrMalformed), m.Kind, m.ID.Uint64())
	// Output:
	// protocol: malformed message: message ends inside its name
	// true request 1
}

// The same message in two versions: Append knows what the version can carry.
func ExampleVersion_Append() {
	ping := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "ping"}
	for _, v := range []protocol.Version{protocol.V1_2, protocol.V1_3} {
		b, err := v.Append(nil, ping)
		fmt.Printf("%v: %q %v\n", v, b, err)
	}
	// Output:
	// 1.2: "" protocol: malformed message: payload is missing or too short
	// 1.3: "\x7f\x01\x00\x00\x00\x00\x00\x00\x00\x04ping" <nil>
}

// An *Error reaches the client as it is, any other error does not.
func ExampleVersion_Failure() {
	noRoom := &protocol.Error{Code: "NO_SUCH_ROOM", Message: "there is no kitchen"}
	for _, err := range []error{
		fmt.Errorf("join: %w", noRoom),
		protocol.ErrShutdown,
		errors.New("dial tcp 10.1.2.3: connection refused"),
	} {
		reply := protocol.V2_0.Failure(protocol.NewID(1), err)
		received := reply.Err()
		fmt.Println(errors.Is(received, noRoom), received)
	}
	// Output:
	// true NO_SUCH_ROOM: there is no kitchen
	// false protocol: server is shutting down
	// false protocol: internal error of the server
}

// UTF-16 is what JavaScript has. A character beyond U+FFFF is two units there.
func ExampleUTF16Text() {
	p := protocol.UTF16Text("hi 😀")
	fmt.Println(p.Encoding, len(p.Data), p.Text())

	lone := protocol.Payload{Encoding: protocol.UTF16, Data: p.Data[:8]}
	fmt.Printf("%+q\n", lone.Text())
	// Output:
	// utf16 10 hi 😀
	// "hi \ufffd"
}

func ExamplePayload_DecodeJSON() {
	p, err := protocol.JSON(map[string]int{"x": 1, "y": 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	var point struct{ X, Y int }
	err = p.DecodeJSON(&point)
	fmt.Println(p.Text(), point, err)
	// Output: {"x":1,"y":2} {1 2} <nil>
}
