package stream

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/webwire-go/webwire/internal/framed"
	"github.com/webwire-go/webwire/transport"
)

// The control frames of the first exchange, which are violations after it.
const (
	opOffer  framed.Op = 4
	opAnswer framed.Op = 5
)

// maxExchange is the length of the longest body of an offer and an answer.
const maxExchange = 4 << 10

// exchange does the first exchange. It holds the read turn.
func (c *conn) exchange() error {
	c.In.Next()
	if c.first.dialled {
		return c.offer()
	}
	return c.answer()
}

// offer sends the offer and reads the answer.
func (c *conn) offer() error {
	h := c.first
	if err := c.Send(opOffer, []byte(strings.Join(h.tokens, ","))); err != nil {
		return err
	}
	body, ok, err := c.firstFrame(opAnswer)
	if err != nil {
		return err
	}
	if !ok {
		return c.unanswered()
	}
	chosen, supported, _ := strings.Cut(body, ",")
	if chosen != "" && (supported != "" || !slices.Contains(h.tokens, chosen)) {
		return c.Violation("an answer with a token that was not offered")
	}
	h.chosen, h.peer = chosen, split(supported)
	return nil
}

// unanswered returns the error of an exchange whose second frame is no answer.
func (c *conn) unanswered() error {
	o, _, err := c.nextHeader()
	if err != nil {
		return err
	}
	if o == framed.OpClose {
		body, err := c.In.Body()
		if err != nil {
			return err
		}
		return c.Control(o, body)
	}
	return c.Violation("the offer was not answered")
}

// answer reads the offer and answers it. Without an offer the peer negotiates nothing.
func (c *conn) answer() error {
	h := c.first
	body, ok, err := c.firstFrame(opOffer)
	if err != nil || !ok {
		return err
	}
	offered := split(body)
	for _, token := range h.tokens {
		if slices.Contains(offered, token) {
			h.chosen = token
			return c.Send(opAnswer, []byte(token))
		}
	}
	h.peer = offered
	return c.Send(opAnswer, appendSupported(nil, h.tokens))
}

// firstFrame takes the first frame if it is one of operation op, and returns its body.
func (c *conn) firstFrame(op framed.Op) (body string, ok bool, err error) {
	for len(c.In.Peek()) < headerSize {
		if err := c.In.Fill(); err != nil {
			return "", false, err
		}
	}
	word := binary.BigEndian.Uint32(c.In.Peek())
	length := int(word & 0xff_ffff)
	if word&^0xff_ffff != controlBit|uint32(op)<<24 {
		return "", false, nil
	}
	if length > maxExchange {
		return "", false, c.Violation("protocol tokens over 4096 bytes")
	}
	c.In.Begin(headerSize, length)
	b, err := c.In.Append(nil)
	return string(b), err == nil, err
}

// appendSupported appends the body of an answer that chooses nothing. Tokens that do not
// fit are left out.
func appendSupported(dst []byte, tokens []string) []byte {
	for _, token := range tokens {
		if len(dst)+1+len(token) > maxExchange {
			break
		}
		dst = append(append(dst, ','), token...)
	}
	return dst
}

// split returns the elements of a list, none of them empty. It is not nil.
func split(list string) []string {
	tokens := []string{}
	for token := range strings.SplitSeq(list, ",") {
		if token != "" {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// checkOffer returns an error if tokens cannot be offered.
func checkOffer(tokens []string) error {
	length := 0
	for _, token := range tokens {
		if token == "" || strings.ContainsFunc(token, notInToken) {
			return fmt.Errorf("stream: dial: %w: protocol token %q", transport.ErrConfig, token)
		}
		length += len(token) + 1
	}
	if length > maxExchange+1 {
		return fmt.Errorf("stream: dial: %w: protocol tokens of %d bytes", transport.ErrConfig, length)
	}
	return nil
}

// notInToken reports whether a token of RFC 9110 cannot contain r.
func notInToken(r rune) bool {
	switch {
	case '0' <= r && r <= '9', 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z':
		return false
	}
	return !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
