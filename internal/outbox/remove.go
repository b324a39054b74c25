package outbox

// Remove takes out a message that was not given to the connection, and reports whether it
// did. If so the peer will never see the message, and *at is zero after the call.
func (o *Outbox) Remove(at *Mark) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at.number == 0 {
		return false
	}
	if o.err != nil { // nothing is queued any more
		unsent := at.number > o.handed
		if unsent {
			*at = Mark{}
		}
		return unsent
	}
	b, i := o.find(at.number)
	if b == nil {
		return false
	}
	b.remove(i)
	*at = Mark{}
	o.trim()
	return true
}

// find returns the batch of a queued message and its index there, or nil.
func (o *Outbox) find(number uint64) (b *batch, index int) {
	after := o.added.number - number // messages that were added later
	for i := len(o.queue) - 1; i >= 0; i-- {
		b := o.queue[i]
		if n := uint64(len(b.msgs)); after >= n {
			after -= n
			continue
		}
		return b, len(b.msgs) - 1 - int(after)
	}
	return nil, 0
}

// trim frees what was removed at the end of the queue, as if it had never been added.
// What was removed elsewhere counts against the budget until its batch is written, so
// that the budget limits the memory.
func (o *Outbox) trim() {
	before := o.bytes
	for n := len(o.queue); n > 0; n = len(o.queue) {
		b := o.queue[n-1]
		for size, ok := b.trim(); ok; size, ok = b.trim() {
			o.bytes -= addedCost + size
			o.added.number--
			o.added.end -= uint64(size)
		}
		if len(b.msgs) > 0 {
			break
		}
		o.dropLast()
	}
	if o.bytes < before {
		o.madeRoom()
	}
	if len(o.queue) == 0 {
		o.wakeIdle()
		o.wakeSettled()
	}
}
