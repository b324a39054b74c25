package protocol

// CancelReason says why the sender of a request does not need its outcome any more.
type CancelReason uint8

const (
	CancelGaveUp   CancelReason = 0 // its caller gave up
	CancelDeadline CancelReason = 1 // its deadline has passed
	CancelEnough   CancelReason = 2 // it has enough items of the streamed reply
)

// CancelBody tells the end that handles a request to stop.
type CancelBody struct {
	ID     ID           // of the request
	Reason CancelReason // may be one that this package does not name
}

// Message returns the message that carries c.
func (c CancelBody) Message() Message {
	return Message{Kind: Cancel, ID: c.ID, Payload: Bytes([]byte{byte(c.Reason)})}
}

// Cancel returns what a message of kind Cancel says. The error wraps ErrMalformed.
func (m Message) Cancel() (CancelBody, error) {
	f, err := m.body(Cancel)
	if err != nil {
		return CancelBody{}, err
	}
	return CancelBody{m.ID, CancelReason(f.u8())}, nil
}

// ItemOverhead is what an item of a streamed reply counts, in bytes, besides its payload.
const ItemOverhead = 64

// CreditBody lets the other end send items of a streamed reply.
type CreditBody struct {
	ID    ID     // of the request
	Limit uint64 // bytes of items in all, each with ItemOverhead, below which another item may be sent
}

// Message returns the message that carries c. A Limit of 2^53 or more becomes the largest
// that can be said.
func (c CreditBody) Message() Message {
	return Message{Kind: Credit, ID: c.ID, Payload: Bytes(appendNumber(make([]byte, 0, 8), c.Limit))}
}

// Credit returns what a message of kind Credit says. The error wraps ErrMalformed.
func (m Message) Credit() (CreditBody, error) {
	f, err := m.body(Credit)
	if err != nil {
		return CreditBody{}, err
	}
	c := CreditBody{m.ID, f.number()}
	if f.err != nil {
		return CreditBody{}, f.err
	}
	return c, nil
}
