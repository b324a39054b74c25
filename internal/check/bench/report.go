package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// report is everything that was measured.
type report struct {
	Machine string
	Command string
	Took    time.Duration

	contenders []contender
	series     []*series // requests and signals
	streams    []*series
	broadcast  []*series
	topics     []*series

	subscriptions []subscriptionBytes
	scaling       []*series
	stalled       []stalledResult
	codec         []codecResult
	bars          []bar
}

// row is a series in bench.json.
type row struct {
	Contender string  `json:"contender"`
	Payload   int     `json:"payload"` // bytes
	Shape     string  `json:"shape"`
	RPS       float64 `json:"rps"`
	CPU       float64 `json:"cpu_us"`
	Allocs    float64 `json:"allocs"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
}

func rows(all []*series) []row {
	out := make([]row, 0, len(all))
	for _, s := range all {
		out = append(out, row{s.contender, s.payload, s.shape, s.median(rps), s.median(cpu), s.median(allocs), s.median(p50), s.median(p99)})
	}
	return out
}

func (r *report) finish(took time.Duration) {
	r.Took = took.Round(time.Second)
	r.bars = r.evaluate()
}

func (r *report) missed() bool {
	for _, b := range r.bars {
		if !b.OK {
			return true
		}
	}
	return false
}

// write writes the Markdown to w, and both forms into the directory unless that is
// empty.
func (r *report) write(w io.Writer, dir string) error {
	text := r.markdown()
	if _, err := io.WriteString(w, text); err != nil || dir == "" {
		return err
	}
	if err := writeFile(dir, "bench.md", []byte(text)); err != nil {
		return err
	}
	return writeJSON(dir, "bench.json", struct {
		Machine       string              `json:"machine"`
		Command       string              `json:"command"`
		Rows          []row               `json:"rows"`
		Streams       []row               `json:"streams,omitempty"`
		Broadcast     []row               `json:"broadcast,omitempty"`
		Topics        []row               `json:"topics,omitempty"`
		Subscriptions []subscriptionBytes `json:"subscriptions,omitempty"`
		Scaling       []row               `json:"scaling,omitempty"`
		Stalled       []stalledResult     `json:"stalled,omitempty"`
		Codec         []codecResult       `json:"codec,omitempty"`
		Bars          []bar               `json:"bars"`
	}{r.Machine, r.Command, rows(r.series), rows(r.streams), rows(r.broadcast), rows(r.topics), r.subscriptions, rows(r.scaling), r.stalled, r.codec, r.bars})
}

func writeJSON(dir, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(dir, name, append(b, '\n'))
}

func writeFile(dir, name string, data []byte) error {
	f, err := create(dir, name)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// table is a table of Markdown.
type table struct {
	b     *[]byte
	width int
}

func newTable(b *[]byte, head ...string) table {
	t := table{b, len(head)}
	t.row(head...)
	*b = append(*b, '|')
	for i := range head {
		if i == 0 {
			*b = append(*b, " --- |"...)
		} else {
			*b = append(*b, " ---: |"...)
		}
	}
	*b = append(*b, '\n')
	return t
}

func (t table) row(cells ...string) {
	*t.b = append(*t.b, '|')
	for i := range t.width {
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		*t.b = append(*t.b, " "+cell+" |"...)
	}
	*t.b = append(*t.b, '\n')
}

// figure formats with about three digits that say something.
func figure(v float64) string {
	switch {
	case v >= 1e4:
		return grouped(int64(v+50) / 100 * 100)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

func bytesName(n int) string {
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
