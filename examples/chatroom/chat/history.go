package chat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	keptMessages = 2000 // of a room; a message that is sent again is recognised among them
	pageSize     = 100
	pageBytes    = 16 << 10 // of messages in JSON; the longest message is shorter
)

// history has the last messages of a room, in memory and in a file with one line of JSON
// per message. The file is created with the first message.
//
// The history of the room's topic would not do: in memory it does not outlive the process,
// and on any engine it keeps publications, "joined" among them, where the room stores messages:
// it knows each by the id that its author chose, and reads them backwards in pages.
type history struct {
	path string
	keep int
	log  *slog.Logger

	mu       sync.RWMutex // held while the file is written: a message has one place
	file     *os.File
	size     int64 // of the file, which has whole lines up to there
	lines    int
	messages []Message
	ids      map[string]uint64 // of messages, to their Seq
	last     uint64            // Seq
}

// openHistory reads the file, if it exists. An incomplete line at the end, left by a
// killed process, was never confirmed to a client and is cut off.
func openHistory(path string, keep int, log *slog.Logger) (*history, error) {
	h := &history{path: path, keep: keep, log: log, messages: []Message{}, ids: make(map[string]uint64)}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	if err := h.parse(data); err != nil {
		return nil, err
	}
	if err := h.open(); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *history) parse(data []byte) error {
	lines := bufio.NewReader(bytes.NewReader(data))
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		var m Message
		if err := json.Unmarshal(line, &m); err != nil || m.Seq <= h.last {
			return fmt.Errorf("%s: line %d is not a valid message", h.path, h.lines+1)
		}
		h.size += int64(len(line))
		h.lines++
		h.take(m)
	}
}

// open opens the file for writing after its last whole line.
func (h *history) open() error {
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Truncate(h.size); err != nil {
		return errors.Join(err, f.Close())
	}
	h.file = f
	return nil
}

// take adds a message to those in memory.
func (h *history) take(m Message) {
	h.messages = append(h.messages, m)
	h.ids[m.ID] = m.Seq
	h.last = m.Seq
	if len(h.messages) > h.keep {
		delete(h.ids, h.messages[0].ID)
		h.messages = h.messages[1:]
	}
}

// append gives the message its number and time, and writes it to disk. If there is a
// message with its id, append returns that one, and fresh is false.
func (h *history) append(m Message) (_ Message, fresh bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq, known := h.ids[m.ID]; known {
		return h.messages[h.index(seq)], false, nil
	}
	m.Seq, m.Time = h.last+1, time.Now().UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(m)
	if err != nil {
		return m, false, err
	}
	if err := h.write(append(line, '\n')); err != nil {
		return m, false, err
	}
	h.take(m)
	if h.lines >= 2*h.keep {
		if err := h.compact(); err != nil { // the message is stored anyway
			h.log.Error("chatroom: history cannot be shortened", "error", err)
		}
	}
	return m, true, nil
}

func (h *history) write(line []byte) error {
	if h.file == nil {
		if err := h.open(); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(h.path)); err != nil {
			return err
		}
	}
	_, err := h.file.WriteAt(line, h.size)
	if err == nil {
		err = h.file.Sync()
	}
	if err != nil {
		return errors.Join(err, h.shut()) // open cuts off the incomplete line
	}
	h.size += int64(len(line))
	h.lines++
	return nil
}

// compact rewrites the file with the messages in memory.
func (h *history) compact() error {
	var data bytes.Buffer
	for _, m := range h.messages {
		if err := json.NewEncoder(&data).Encode(m); err != nil {
			return err
		}
	}
	if err := replaceFile(h.path, data.Bytes()); err != nil {
		return err
	}
	h.size, h.lines = int64(data.Len()), len(h.messages)
	return h.shut()
}

// shut closes the file; the next write opens it.
func (h *history) shut() error {
	f := h.file
	h.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// after returns the last page of the messages after seq, and reports whether there are
// messages before the page.
func (h *history) after(seq uint64) (page []Message, earlier bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.page(h.index(seq+1), len(h.messages))
}

// before returns the last page of the messages before seq, and reports whether there are
// messages before the page.
func (h *history) before(seq uint64) (page []Message, earlier bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.page(0, h.index(seq))
}

// page returns the last of messages[start:end]: at most pageSize of them and pageBytes
// in total, but at least one if there is one.
func (h *history) page(start, end int) (page []Message, earlier bool) {
	first := end
	for size := 0; first > max(start, end-pageSize); first-- {
		size += encodedSize(h.messages[first-1])
		if size > pageBytes && first < end {
			break
		}
	}
	return slices.Clone(h.messages[first:end]), first > 0
}

// encodedSize returns the number of bytes of a message and its comma in a page.
func encodedSize(m Message) int {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // it has strings, a number, and a time that was parsed or is now
	}
	return len(data) + 1
}

// index returns the index of the first message that is not before seq.
func (h *history) index(seq uint64) int {
	i, _ := slices.BinarySearchFunc(h.messages, seq, func(m Message, seq uint64) int {
		switch {
		case m.Seq < seq:
			return -1
		case m.Seq > seq:
			return 1
		}
		return 0
	})
	return i
}

// newest returns the last message, if there is one.
func (h *history) newest() (Message, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.messages) == 0 {
		return Message{}, false
	}
	return h.messages[len(h.messages)-1], true
}

func (h *history) empty() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.last == 0
}

func (h *history) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shut()
}
