package rfc6455

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/webwire-go/webwire/transport"
)

// testCase is what a peer sends and what has to come of it: messages, pongs, and
// then a close, or none.
type testCase struct {
	section string // of the standard
	name    string
	only    role // the role that it is for
	frames  []frame

	messages [][]byte
	pongs    []string
	local    transport.Status      // the tested side closes with this status
	remote   *transport.CloseError // the peer closed

	// What comes of it if a transport does not mind.
	accepted      [][]byte
	acceptedPongs []string
	acceptedClose *transport.CloseError

	refuseText bool
	limit      int // of a message, if it is not that of limits
}

func (c *testCase) bytes(r role) (all []byte) {
	for _, f := range c.frames {
		all = append(all, f.bytes(r)...)
	}
	return all
}

// Frames that come up again and again.

func binaryFrame(payload string) frame { return frame{first: 0x82, payload: []byte(payload)} }
func start(payload string) frame       { return frame{first: 0x02, payload: []byte(payload)} }
func more(payload string) frame        { return frame{first: 0x00, payload: []byte(payload)} }
func last(payload string) frame        { return frame{first: 0x80, payload: []byte(payload)} }
func ping(payload string) frame        { return frame{first: 0x89, payload: []byte(payload)} }
func pong(payload string) frame        { return frame{first: 0x8A, payload: []byte(payload)} }

func closing(status transport.Status, reason string) frame {
	return frame{first: 0x88, payload: append(binary.BigEndian.AppendUint16(nil, uint16(status)), reason...)}
}

func list(msgs ...string) (all [][]byte) {
	for _, msg := range msgs {
		all = append(all, []byte(msg))
	}
	return all
}

// cases returns the table.
func cases() []testCase {
	return slices.Concat(framing(), masking(), fragmentation(), controls(), closes(), sizes(), systematic(), largeMessages())
}

const violation = transport.StatusProtocolError

func framing() (all []testCase) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65_535, 65_536, 100_000} {
		msg := strings.Repeat("x", n)
		all = append(all, testCase{section: "5.2", name: fmt.Sprintf("message of %d bytes", n),
			frames: []frame{binaryFrame(msg)}, messages: list(msg)})
	}
	all = append(all,
		testCase{section: "5.2", name: "short length in 16 bits",
			frames: []frame{{first: 0x82, payload: []byte("short"), form: 126}}, local: violation, accepted: list("short")},
		testCase{section: "5.2", name: "short length in 64 bits",
			frames: []frame{{first: 0x82, payload: []byte("short"), form: 127}}, local: violation, accepted: list("short")},
		testCase{section: "5.2", name: "16-bit length in 64 bits",
			frames: []frame{{first: 0x82, payload: bytes.Repeat([]byte{1}, 300), form: 127}}, local: violation,
			accepted: [][]byte{bytes.Repeat([]byte{1}, 300)}},
		testCase{section: "5.2", name: "length with the highest bit",
			frames: []frame{{first: 0x82, form: 127, length: 1<<63 | 5, payload: []byte("minus")}}, local: violation},
	)
	for i, first := range []byte{0x40, 0x20, 0x10} {
		bit := i + 1
		all = append(all,
			testCase{section: "5.2", name: fmt.Sprintf("reserved bit %d", bit),
				frames: []frame{{first: 0x82 | first, payload: []byte("x")}}, local: violation},
			testCase{section: "5.2", name: fmt.Sprintf("reserved bit %d in a continuation", bit),
				frames: []frame{start("x"), {first: 0x80 | first}}, local: violation},
			testCase{section: "5.2", name: fmt.Sprintf("reserved bit %d in a ping", bit),
				frames: []frame{{first: 0x89 | first}}, local: violation},
		)
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		all = append(all, testCase{section: "5.2", name: fmt.Sprintf("reserved opcode %#x", op),
			frames: []frame{{first: 0x80 | op, payload: []byte("x")}}, local: violation})
	}
	return append(all,
		testCase{section: "5.6", name: "text", frames: []frame{{first: 0x81, payload: []byte("täxt")}}, messages: list("täxt")},
		testCase{section: "5.6", name: "text that is not accepted", refuseText: true,
			frames: []frame{{first: 0x81, payload: []byte("text")}}, local: transport.StatusUnsupportedData},
		testCase{section: "8.1", name: "text that is not UTF-8", frames: []frame{{first: 0x81, payload: []byte("a\xff")}},
			local: 1007, accepted: list("a\xff")},
	)
}

func masking() []testCase {
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	long := strings.Repeat("0123456789", 7)
	all := []testCase{
		{section: "5.3", name: "masks", only: server,
			frames: []frame{
				{first: 0x82, mask: mask, payload: []byte("x")},
				{first: 0x82, mask: mask, payload: []byte("12345")},
				{first: 0x82, mask: [4]byte{0xFF, 0, 0xFF, 0}, payload: []byte(long)},
			},
			messages: list("x", "12345", long)},
		{section: "5.3", name: "masks of fragments", only: server,
			frames: []frame{
				{first: 0x02, mask: mask, payload: []byte("123")},
				{first: 0x00, mask: [4]byte{9, 8, 7, 6}, payload: []byte("45678")},
				{first: 0x89, mask: mask, payload: []byte("ping")},
				{first: 0x80, mask: [4]byte{1, 0, 0, 1}, payload: []byte(long)},
			},
			messages: list("12345678" + long), pongs: []string{"ping"}},
	}
	for _, r := range []role{server, client} {
		of := "without a mask"
		if r == client {
			of = "with a mask"
		}
		all = append(all,
			testCase{section: "5.1", name: "message " + of, only: r, frames: []frame{{first: 0x82, wrong: true, payload: []byte("x")}},
				local: violation, accepted: list("x")},
			testCase{section: "5.1", name: "empty message " + of, only: r, frames: []frame{{first: 0x82, wrong: true}},
				local: violation, accepted: list("")},
			testCase{section: "5.1", name: "ping " + of, only: r, frames: []frame{{first: 0x89, wrong: true}},
				local: violation, acceptedPongs: []string{""}},
			testCase{section: "5.1", name: "close " + of, only: r, frames: []frame{{first: 0x88, wrong: true}},
				local: violation, acceptedClose: &transport.CloseError{Status: transport.StatusNoStatusReceived}},
		)
	}
	return all
}

func fragmentation() []testCase {
	var bits []frame
	for i := range 200 {
		bits = append(bits, more(string(rune('a'+i%26))))
	}
	bits[0].first, bits[199].first = 0x02, 0x80
	var whole string
	for _, f := range bits {
		whole += string(f.payload)
	}
	return []testCase{
		{section: "5.4", name: "two fragments", frames: []frame{start("one "), last("two")}, messages: list("one two")},
		{section: "5.4", name: "fragments that are empty", frames: []frame{start(""), more(""), more("x"), more(""), last("")}, messages: list("x")},
		{section: "5.4", name: "nothing but empty fragments", frames: []frame{start(""), last("")}, messages: list("")},
		{section: "5.4", name: "200 fragments", frames: bits, messages: list(whole)},
		{section: "5.4", name: "fragments of text", frames: []frame{{first: 0x01, payload: []byte("a\xc3")}, last("\xa4")}, messages: list("aä")},
		{section: "5.4", name: "fragments of text that is not accepted", refuseText: true,
			frames: []frame{{first: 0x01, payload: []byte("a")}, last("b")}, local: transport.StatusUnsupportedData},
		{section: "5.4", name: "messages one after the other", frames: []frame{start("a"), last("b"), binaryFrame("c"), start("d"), last("e")},
			messages: list("ab", "c", "de")},
		{section: "5.4", name: "continuation of nothing", frames: []frame{last("x")}, local: violation},
		{section: "5.4", name: "continuation of nothing that is a fragment", frames: []frame{more("x")}, local: violation},
		{section: "5.4", name: "continuation of what is over", frames: []frame{binaryFrame("x"), last("y")}, messages: list("x"), local: violation},
		{section: "5.4", name: "message within a message", frames: []frame{start("x"), binaryFrame("y")}, local: violation},
		{section: "5.4", name: "text within a message", frames: []frame{start("x"), {first: 0x81}}, local: violation},
		{section: "5.4", name: "two first fragments", frames: []frame{start("x"), start("y")}, local: violation},
	}
}

func controls() []testCase {
	full := strings.Repeat("p", 125)
	return []testCase{
		{section: "5.5.2", name: "ping", frames: []frame{ping("hello")}, pongs: []string{"hello"}},
		{section: "5.5.2", name: "empty ping", frames: []frame{ping("")}, pongs: []string{""}},
		{section: "5.5.2", name: "ping of 125 bytes", frames: []frame{ping(full)}, pongs: []string{full}},
		{section: "5.5.2", name: "ten pings", frames: []frame{ping("0"), ping("1"), ping("2"), ping("3"), ping("4"), ping("5"), ping("6"), ping("7"), ping("8"), ping("9")},
			pongs: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
		{section: "5.5.3", name: "pong that nobody asked for", frames: []frame{pong("hello"), pong(""), pong(full)}},
		{section: "5.4", name: "control frames between fragments", frames: []frame{start("a"), ping("1"), more("b"), pong(""), last("c")},
			messages: list("abc"), pongs: []string{"1"}},
		{section: "5.5", name: "ping of 126 bytes", frames: []frame{ping(full + "p")}, local: violation},
		{section: "5.5", name: "pong of 126 bytes", frames: []frame{pong(full + "p")}, local: violation},
		{section: "5.5", name: "ping with a length in 16 bits", frames: []frame{{first: 0x89, payload: []byte("x"), form: 126}}, local: violation, acceptedPongs: []string{"x"}},
		{section: "5.5", name: "ping that announces 1 TiB", frames: []frame{{first: 0x89, form: 127, length: 1 << 40}}, local: violation},
		{section: "5.5", name: "fragmented ping", frames: []frame{{first: 0x09, payload: []byte("x")}}, local: violation},
		{section: "5.5", name: "fragmented pong", frames: []frame{{first: 0x0A, payload: []byte("x")}}, local: violation},
		{section: "5.5", name: "fragmented close", frames: []frame{{first: 0x08, payload: []byte{0x03, 0xE8}}}, local: violation},
	}
}

func closes() (all []testCase) {
	peer := func(status transport.Status, reason string) *transport.CloseError {
		return &transport.CloseError{Status: status, Reason: reason}
	}
	for _, status := range []transport.Status{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		all = append(all, testCase{section: "7.4", name: fmt.Sprintf("close with %d", status),
			frames: []frame{closing(status, "because")}, remote: peer(status, "because")})
	}
	for _, status := range []transport.Status{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		all = append(all, testCase{section: "7.4", name: fmt.Sprintf("close with %d, which is not to be sent", status),
			frames: []frame{closing(status, "because")}, local: violation, acceptedClose: peer(status, "because")})
	}
	long := strings.Repeat("r", transport.MaxReason)
	return append(all,
		testCase{section: "5.5.1", name: "close without a status", frames: []frame{{first: 0x88}}, remote: peer(transport.StatusNoStatusReceived, "")},
		testCase{section: "5.5.1", name: "close with a status only", frames: []frame{closing(1000, "")}, remote: peer(1000, "")},
		testCase{section: "5.5.1", name: "close with half a status", frames: []frame{{first: 0x88, payload: []byte{3}}}, local: violation},
		testCase{section: "5.5.1", name: "close with a reason of 123 bytes", frames: []frame{closing(1000, long)}, remote: peer(1000, long)},
		testCase{section: "5.5", name: "close with a reason of 124 bytes", frames: []frame{closing(1000, long+"r")}, local: violation},
		testCase{section: "5.5.1", name: "close with a reason in UTF-8", frames: []frame{closing(4000, "größer")}, remote: peer(4000, "größer")},
		testCase{section: "8.1", name: "close with a reason that is not UTF-8", frames: []frame{closing(1000, "a\xff")}, local: violation,
			acceptedClose: peer(1000, "a\xff")},
		testCase{section: "5.5.1", name: "close between fragments", frames: []frame{start("a"), closing(1001, "")}, remote: peer(1001, "")},
		testCase{section: "5.5.1", name: "close after a message", frames: []frame{binaryFrame("a"), closing(1001, "")}, messages: list("a"), remote: peer(1001, "")},
		testCase{section: "5.5.1", name: "message after a close", frames: []frame{closing(1001, ""), binaryFrame("a")}, remote: peer(1001, "")},
		testCase{section: "5.5.1", name: "two closes", frames: []frame{closing(1001, "first"), closing(1002, "second")}, remote: peer(1001, "first")},
	)
}

func sizes() []testCase {
	limit := limits.MaxMessageSize
	full := strings.Repeat("x", limit)
	return []testCase{
		{section: "10.4", name: "message of the limit", frames: []frame{binaryFrame(full)}, messages: list(full)},
		{section: "10.4", name: "fragments of the limit", frames: []frame{start(full[:limit/2]), last(full[limit/2:])}, messages: list(full)},
		{section: "10.4", name: "message over the limit", frames: []frame{binaryFrame(full + "x")}, local: transport.StatusMessageTooBig},
		{section: "10.4", name: "fragments over the limit", frames: []frame{start(full), more(""), last("x")}, local: transport.StatusMessageTooBig},
		{section: "10.4", name: "length over the limit", frames: []frame{{first: 0x82, form: 127, length: uint64(limit) + 1}}, local: transport.StatusMessageTooBig},
		{section: "10.4", name: "length of 2^62", frames: []frame{{first: 0x82, form: 127, length: 1 << 62}}, local: transport.StatusMessageTooBig},
		{section: "10.4", name: "length of a fragment over the limit",
			frames: []frame{start("x"), {first: 0x80, form: 127, length: uint64(limit)}}, local: transport.StatusMessageTooBig},
		{section: "10.4", name: "length of 2^63-1 in a fragment", frames: []frame{start("x"), {first: 0x80, form: 127, length: 1<<63 - 1}}, local: transport.StatusMessageTooBig},
	}
}
