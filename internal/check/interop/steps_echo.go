package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
)

// echoSteps are about what messages can carry.
var echoSteps = []step{
	{name: "echo in every encoding", run: echoEncodings},
	{name: "echo of names of every length", run: echoNames},
	{name: "echo of odd and invalid text", run: echoBytes},
	{name: "echo of large payloads", run: echoLarge},
	{name: "echo of a name alone", run: echoNameOnly},
	{name: "payloads that the version forbids are refused locally", run: echoForbidden},
	{name: "inspect", run: inspectAll},
}

const sample = "aä€😀 Привет, мир"

func samples() []protocol.Payload {
	return []protocol.Payload{
		protocol.Bytes([]byte{0, 1, 2, 0x7f, 0x80, 0xfe, 0xff}),
		protocol.Text(sample),
		protocol.UTF16Text(sample),
	}
}

// echoed sends an echo request and compares.
func (p *peer) echoed(name string, payload protocol.Payload) error {
	reply, err := p.Request(p.ctx, name, payload)
	if err != nil {
		return fmt.Errorf("%.20q, %d bytes %v: %w", name, len(payload.Data), payload.Encoding, err)
	}
	if reply.Encoding != payload.Encoding || !bytes.Equal(reply.Data, payload.Data) {
		return fmt.Errorf("%.20q: sent %d bytes %v, got %d bytes %v, or others", name,
			len(payload.Data), payload.Encoding, len(reply.Data), reply.Encoding)
	}
	return nil
}

func echoEncodings(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for _, payload := range samples() {
		for _, name := range []string{"", "echo"} {
			if err := p.echoed(name, payload); err != nil {
				return err
			}
		}
	}
	for _, e := range encodings {
		shortest := protocol.Payload{Encoding: e, Data: []byte("ab")}
		if e != protocol.UTF16 {
			shortest.Data = shortest.Data[:1]
		}
		if err := p.echoed("echo", shortest); err != nil {
			return err
		}
	}
	return nil
}

func echoNames(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	var all []byte
	for c := byte(' '); c <= '~'; c++ {
		all = append(all, c)
	}
	for _, name := range []string{"", "echo", "echo1", "echo12", "echo" + string(all), "echo" + strings.Repeat("n", 250), "echo" + strings.Repeat("n", 251)} {
		for _, payload := range samples() {
			if err := p.echoed(name, payload); err != nil {
				return err
			}
		}
	}
	// One byte is no echo, but it arrives.
	for _, name := range []string{"x", " ", "~"} {
		if err := p.refused(name, "x", &protocol.Error{Code: codeUnknown}); err != nil {
			return err
		}
	}
	return nil
}

func echoBytes(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	return errors.Join(
		p.echoed("echo", protocol.Payload{Encoding: protocol.UTF8, Data: []byte{0xff, 0xc0, 'a', 0}}),
		p.echoed("echo", protocol.Payload{Encoding: protocol.UTF16, Data: []byte{0, 0xd8, 'a', 0}}),
		p.echoed("echo", protocol.Payload{Encoding: protocol.UTF16, Data: []byte{0xff, 0xfe, 0, 0}}),
		p.echoed("echo", protocol.Text(`<script>&"quoted"\`)),
	)
}

func echoLarge(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	const header = 1 + 8 + 1 + len("echo")
	sizes := []int{125, 126, 4096, 65535, 65536, 5<<20 + 1}
	if manners.Of(r.Version).Conf {
		sizes = []int{125, 126, 4096, MessageSize - header} // the last makes the longest message allowed
		if err := p.tooLong("echo", MessageSize-header+1); err != nil {
			return err
		}
	}
	for _, n := range sizes {
		data := bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n]
		for _, e := range encodings {
			payload := protocol.Payload{Encoding: e, Data: data}
			if e == protocol.UTF16 {
				payload.Data = data[:n&^1]
			}
			if e != protocol.Binary && n > 1<<16 {
				continue // one is large enough
			}
			if err := p.echoed("echo", payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// tooLong sends a request that must not leave the client.
func (p *peer) tooLong(name string, size int) error {
	_, err := p.Request(p.ctx, name, protocol.Bytes(make([]byte, size)))
	if err == nil || errors.Is(err, client.ErrDisconnected) {
		return fmt.Errorf("a request that is longer than the server said: %w", err)
	}
	return p.expect("echo", "still there", "still there")
}

func echoNameOnly(r *run) error {
	if r.Version == protocol.V1_2 {
		return skip("requests have a payload in 1.2")
	}
	p, err := r.peer()
	if err != nil {
		return err
	}
	for _, e := range encodings {
		for _, name := range []string{"echo", "echo1", "echo" + strings.Repeat("n", 251)} {
			if err := p.echoed(name, protocol.Payload{Encoding: e}); err != nil {
				return err
			}
		}
	}
	return nil
}

func echoForbidden(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	forbidden := map[string]protocol.Payload{
		"":                       {},
		"echo\n":                 protocol.Text("x"),
		"ächo":                   protocol.Text("x"),
		strings.Repeat("n", 256): protocol.Text("x"),
		"odd":                    {Encoding: protocol.UTF16, Data: []byte{1}},
	}
	for name, payload := range forbidden {
		_, reqErr := p.Request(p.ctx, name, payload)
		sigErr := p.Signal(p.ctx, name, payload)
		if !errors.Is(reqErr, protocol.ErrMalformed) || !errors.Is(sigErr, protocol.ErrMalformed) {
			return fmt.Errorf("%.20q: request: %v, signal: %v, want errors", name, reqErr, sigErr)
		}
	}
	return p.expect("echo", "still there", "still there")
}

func inspectAll(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for _, name := range []string{"inspect", "inspect1", "inspect" + strings.Repeat("~", 248)} {
		for _, payload := range samples() {
			reply, err := p.Request(p.ctx, name, payload)
			if err != nil {
				return err
			}
			var got inspected
			if err := json.Unmarshal(reply.Data, &got); err != nil {
				return err
			}
			if want := (inspected{describe(name, payload), len(payload.Data)}); got != want || reply.Encoding != protocol.UTF8 {
				return fmt.Errorf("inspect: %+v in %v, want %+v", got, reply.Encoding, want)
			}
		}
	}
	return nil
}
