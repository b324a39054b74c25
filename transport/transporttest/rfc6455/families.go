package rfc6455

import (
	"fmt"
	"strings"

	"github.com/webwire-go/webwire/transport"
)

// The cases in this file differ from each other only in a few parameters.

func families() (all []testCase) {
	all = append(all, textSizes()...)
	all = append(all, reservedBits()...)
	all = append(all, reservedOpcodes()...)
	all = append(all, moreClosing()...)
	return append(all, largeMessages()...)
}

// fragments returns msg in frames of at most size bytes.
func fragments(opcode byte, msg string, size int) (all []frame) {
	for first := opcode; ; first = 0 {
		n := min(size, len(msg))
		f := frame{first: first, payload: []byte(msg[:n])}
		if msg = msg[n:]; msg == "" {
			f.first |= 0x80
			return append(all, f)
		}
		all = append(all, f)
	}
}

func textSizes() (all []testCase) {
	for _, n := range []int{0, 125, 126, 127, 128, 65_535, 65_536} {
		msg := strings.Repeat("*", n)
		all = append(all, testCase{section: "5.6", name: fmt.Sprintf("text of %d bytes", n),
			frames: fragments(1, msg, n+1), messages: list(msg)})
	}
	return all
}

func reservedBits() (all []testCase) {
	for bits := byte(1); bits <= 7; bits++ {
		rsv := bits << 4
		for _, kind := range []struct {
			name   string
			frames []frame
		}{
			{"text", []frame{{first: 0x81 | rsv, payload: []byte("x")}}},
			{"the first fragment", []frame{{first: 0x02 | rsv, payload: []byte("x")}}},
			{"the last fragment", []frame{start("x"), {first: 0x80 | rsv, payload: []byte("y")}}},
			{"a pong", []frame{{first: 0x8A | rsv}}},
			{"a close", []frame{{first: 0x88 | rsv}}},
		} {
			all = append(all, testCase{section: "5.2", name: fmt.Sprintf("reserved bits %03b in %s", bits, kind.name),
				frames: kind.frames, local: violation})
		}
	}
	return all
}

func reservedOpcodes() (all []testCase) {
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		bad := frame{first: 0x80 | op}
		all = append(all,
			testCase{section: "5.2", name: fmt.Sprintf("reserved opcode %#x after a message, before a ping", op),
				frames: []frame{binaryFrame("x"), bad, ping("")}, messages: list("x"), local: violation},
			testCase{section: "5.2", name: fmt.Sprintf("reserved opcode %#x within a message", op),
				frames: []frame{start("x"), bad, last("y")}, local: violation},
		)
	}
	return all
}

func moreClosing() []testCase {
	return []testCase{
		{section: "5.5.1", name: "ping after a close", frames: []frame{closing(1001, ""), ping("x")},
			remote: &transport.CloseError{Status: 1001}},
		{section: "5.5.1", name: "fragments after a close", frames: []frame{closing(1001, ""), start("x"), last("y")},
			remote: &transport.CloseError{Status: 1001}},
	}
}

func largeMessages() (all []testCase) {
	for _, opcode := range []byte{1, 2} {
		for _, total := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			msg := strings.Repeat("large message...", total/16)
			for _, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, total} {
				if size == total && total == 64<<10 {
					continue // as the size before it
				}
				all = append(all, testCase{section: "5.4",
					name:   fmt.Sprintf("%d KiB of opcode %d in frames of %d bytes", total>>10, opcode, size),
					frames: fragments(opcode, msg, size), messages: list(msg), limit: 4 << 20})
			}
		}
	}
	return all
}
