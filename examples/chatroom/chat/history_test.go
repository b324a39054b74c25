package chat

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, path string, keep int) *history {
	t.Helper()
	h, err := openHistory(path, keep, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.close() })
	return h
}

func add(t *testing.T, h *history, ids ...string) {
	t.Helper()
	for _, id := range ids {
		m, fresh, err := h.append(Message{ID: id, Name: "Ada", Text: "text of " + id})
		if err != nil || !fresh || m.Seq == 0 || m.Time.IsZero() {
			t.Fatalf("append %s: %+v, fresh %v, %v", id, m, fresh, err)
		}
	}
}

func seqs(page []Message) string {
	if len(page) == 0 {
		return "none"
	}
	for i, m := range page {
		if m.Seq != page[0].Seq+uint64(i) {
			return fmt.Sprint("gap before ", m.Seq)
		}
	}
	return fmt.Sprint(page[0].Seq, "-", page[len(page)-1].Seq)
}

func TestHistorySurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lobby.jsonl")
	h := open(t, path, 10)
	if page, earlier := h.after(0); page == nil || len(page) > 0 || earlier {
		t.Errorf("nothing was said, and there is %v, %v", page, earlier)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a file before the first message")
	}
	add(t, h, "one", "two", "three")

	for _, h := range []*history{h, open(t, path, 10)} {
		page, earlier := h.after(1)
		if seqs(page) != "2-3" || !earlier || page[0].Text != "text of two" {
			t.Errorf("after 1: %v, %v", page, earlier)
		}
		m, fresh, err := h.append(Message{ID: "two", Name: "Bob", Text: "again"})
		if err != nil || fresh || m.Seq != 2 || m.Text != "text of two" {
			t.Errorf("the same again: %+v, %v, %v", m, fresh, err)
		}
	}
}

// A process that was killed while it wrote leaves part of a line.
func TestHistoryTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lobby.jsonl")
	h := open(t, path, 10)
	add(t, h, "one", "two")
	h.close()
	whole, _ := os.ReadFile(path)
	for cut := 1; cut <= 40; cut += 13 {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		h := open(t, path, 10)
		if page, _ := h.after(0); seqs(page) != "1-1" {
			t.Errorf("%d bytes cut off: %s", cut, seqs(page))
		}
		add(t, h, "other")
		h.close()
		if page, _ := open(t, path, 10).after(0); seqs(page) != "1-2" || page[1].ID != "other" {
			t.Errorf("%d bytes cut off, then one written: %v", cut, page)
		}
	}
}

func TestHistoryDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lobby.jsonl")
	h := open(t, path, 10)
	add(t, h, "one", "two", "three")
	h.close()
	whole, _ := os.ReadFile(path)
	lines := strings.SplitAfter(string(whole), "\n")
	for what, text := range map[string]string{
		"garbage":  lines[0] + "garbage\n" + lines[2],
		"repeated": lines[0] + lines[0],
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openHistory(path, 10, slog.Default())
		if err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s line 2: %v", what, err)
		}
		if left, _ := os.ReadFile(path); string(left) != text {
			t.Errorf("%s line 2: the file was changed", what)
		}
	}
}

func TestHistoryForgets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lobby.jsonl")
	h := open(t, path, 5)
	for i := 1; i <= 33; i++ {
		add(t, h, fmt.Sprint("id-", i))
		if h.lines >= 10 {
			t.Fatalf("the file has %d lines, to keep 5", h.lines)
		}
	}
	for _, h := range []*history{h, open(t, path, 5)} {
		if page, earlier := h.after(0); seqs(page) != "29-33" || earlier {
			t.Errorf("kept %s, %v", seqs(page), earlier)
		}
		if _, known := h.ids["id-28"]; known || len(h.ids) != 5 {
			t.Errorf("%d ids are kept", len(h.ids))
		}
	}
	add(t, h, "id-34")
	if page, _ := open(t, path, 5).after(32); seqs(page) != "33-34" {
		t.Errorf("after one more: %s", seqs(page))
	}
}

func TestHistoryPages(t *testing.T) {
	h := open(t, filepath.Join(t.TempDir(), "lobby.jsonl"), 1000)
	for i := 1; i <= 250; i++ {
		h.take(Message{Seq: uint64(i), ID: fmt.Sprint(i)})
	}
	for _, test := range []struct {
		call    func(uint64) ([]Message, bool)
		seq     uint64
		want    string
		earlier bool
	}{
		{h.after, 0, "151-250", true},
		{h.after, 100, "151-250", true},
		{h.after, 240, "241-250", true},
		{h.after, 250, "none", true},
		{h.after, 999, "none", true},
		{h.before, 151, "51-150", true},
		{h.before, 51, "1-50", false},
		{h.before, 1, "none", false},
		{h.before, 0, "none", false},
		{h.before, 999, "151-250", true},
	} {
		page, earlier := test.call(test.seq)
		if seqs(page) != test.want || earlier != test.earlier {
			t.Errorf("%d: %s, %v, want %s, %v", test.seq, seqs(page), earlier, test.want, test.earlier)
		}
	}
}

// A message that could not be written is not there, and does not spoil the file.
func TestHistoryWriteFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lobby.jsonl")
	h := open(t, path, 10)
	add(t, h, "one")
	h.file.Close() // writes fail now
	if m, fresh, err := h.append(Message{ID: "lost"}); err == nil || fresh {
		t.Fatalf("append to a closed file: %+v, %v", m, fresh)
	}
	add(t, h, "two", "lost")
	if page, _ := open(t, path, 10).after(0); seqs(page) != "1-3" || page[1].ID != "two" {
		t.Errorf("got %v", page)
	}
}
