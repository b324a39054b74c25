package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/webwire-go/webwire/protocol"
)

const decodeHelp = `HEX is the bytes of one message in hexadecimal, with or without spaces, colons
and 0x; - is the standard input. Without -version the message is explained in
every version in which it is well-formed.
`

// decoded is the JSON form of a message in some versions.
type decoded struct {
	Versions []string   `json:"versions"`
	Kind     string     `json:"kind,omitempty"`
	From     []string   `json:"from,omitempty"` // the ends that send it
	Parts    []partJSON `json:"parts"`
	Error    string     `json:"error,omitempty"` // why the message is malformed
}

type partJSON struct {
	Offset int    `json:"offset"`
	Hex    string `json:"hex"`
	Part   string `json:"part"`
	Means  string `json:"means,omitempty"`
}

// decodable are the versions that the codec knows, in the order of their publication.
var decodable = []protocol.Version{
	protocol.V1_2, protocol.V1_3, protocol.V1_4, protocol.V1_5, protocol.V2_0, protocol.V3_0,
}

func decode(_ context.Context, p *program, flags *flag.FlagSet, args []string) error {
	var only []protocol.Version
	flags.Func("version", "`version` of the protocol; may be repeated\n(default: all in which the message is well-formed)", func(text string) error {
		v, err := protocol.ParseVersion(text)
		only = append(only, v)
		return err
	})
	asJSON := flags.Bool("json", false, "print JSON, one object a line")
	args, err := parse(flags, args, 1, 1<<16)
	if err != nil {
		return err
	}
	text := strings.Join(args, " ")
	if text == "-" {
		all, err := io.ReadAll(p.stdin)
		if err != nil {
			return err
		}
		text = string(all)
	}
	b, err := unhex(text)
	if err != nil {
		return err
	}
	out := newPrinter(p.stdout, *asJSON)
	found, err := explainIn(b, only)
	for i, d := range found {
		if *asJSON {
			out.object(d)
			continue
		}
		if i > 0 {
			out.line("")
		}
		out.decoded(d)
	}
	return err
}

func unhex(text string) ([]byte, error) {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == ':' || r == ',' {
			return -1
		}
		return r
	}, strings.NewReplacer("0x", "", "0X", "").Replace(text))
	b, err := hex.DecodeString(clean)
	if err != nil {
		return nil, usage("%w", err)
	}
	if len(b) == 0 {
		return nil, usage("there are no bytes")
	}
	return b, nil
}

// explainIn explains a message in some versions, or if there are none in all those in
// which it is well-formed. Versions of the same explanation have one. The error says that
// the message is malformed in every version.
func explainIn(b []byte, versions []protocol.Version) (found []decoded, err error) {
	wellFormed := false
	if versions == nil {
		for _, v := range decodable {
			if explain(v, b).Error == "" {
				versions = append(versions, v)
			}
		}
		if versions == nil {
			versions = decodable
		}
	}
	for _, v := range versions {
		d := explain(v, b)
		wellFormed = wellFormed || d.Error == ""
		if i := sameAs(found, d); i >= 0 {
			found[i].Versions = append(found[i].Versions, v.String())
		} else {
			d.Versions = []string{v.String()}
			found = append(found, d)
		}
	}
	if !wellFormed {
		return found, errors.New("the message is malformed in every version that was tried")
	}
	return found, nil
}

// sameAs returns the index of the explanation that d repeats, or -1.
func sameAs(found []decoded, d decoded) int {
	d.Versions = nil
	for i, f := range found {
		f.Versions = nil
		if fmt.Sprint(f) == fmt.Sprint(d) {
			return i
		}
	}
	return -1
}

func explain(v protocol.Version, b []byte) decoded {
	m, err := v.Parse(b)
	d := decoded{}
	if m.Kind != 0 {
		d.Kind = m.Kind.String()
		if v.FromClient(m.Kind) {
			d.From = append(d.From, "client")
		}
		if v.FromServer(m.Kind) {
			d.From = append(d.From, "server")
		}
	}
	parsed := err == nil
	if parsed {
		_, err = bodyMeans(v, m)
	}
	if err != nil {
		d.Error = err.Error()
	}
	offset := 0
	for _, part := range v.Parts(b) {
		d.add(v, m, parsed, offset, part)
		offset += len(part.Bytes)
	}
	return d
}

// decoded prints an explanation as a table.
func (p *printer) decoded(d decoded) {
	title := d.Kind
	if title == "" {
		title = "no message"
	}
	from := ""
	if len(d.From) > 0 {
		from = ", sent by " + strings.Join(d.From, " and ")
	}
	p.line("%s: %s%s", p.paint(bold, strings.Join(d.Versions, ", ")), p.paint(bold, title), from)
	for _, part := range d.Parts {
		means := wrapped(part.Means)
		for row := 0; row < len(means) || 2*bytesPerRow*row < len(part.Hex); row++ {
			var offset, digits, name, text string
			if at := 2 * bytesPerRow * row; at < len(part.Hex) {
				offset = strconv.Itoa(part.Offset + at/2)
				digits = spaced(part.Hex[at:min(at+2*bytesPerRow, len(part.Hex))])
			}
			if row == 0 {
				name = part.Part
			}
			if row < len(means) {
				text = p.paint(cyan, means[row])
			}
			p.line("%s", strings.TrimRight(fmt.Sprintf("%5s  %-*s  %-11s  %s", offset, 3*bytesPerRow-1, digits, name, text), " "))
		}
	}
	if d.Error != "" {
		p.line("       %s", p.paint(red, d.Error))
	}
}

// bytesPerRow is how many bytes a row shows.
const bytesPerRow = 8

// width is how much of a meaning fits into a row, in characters, so that rows have 80.
const width = 80 - (5 + 2 + 3*bytesPerRow - 1 + 2 + 11 + 2)

// wrapped returns the lines of text, those that are too long in several.
func wrapped(text string) (lines []string) {
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		runes := []rune(line)
		for len(runes) > width {
			lines = append(lines, string(runes[:width]))
			runes = runes[width:]
		}
		lines = append(lines, string(runes))
	}
	return lines
}

// spaced puts a space between bytes.
func spaced(digits string) string {
	var out []string
	for ; digits != ""; digits = digits[2:] {
		out = append(out, digits[:2])
	}
	return strings.Join(out, " ")
}
