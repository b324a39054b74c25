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
// The Number of a Credit is a limit to what all items of the reply count: while they
// count less, another item may be sent.
const ItemOverhead = 64
