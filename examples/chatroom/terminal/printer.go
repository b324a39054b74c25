package terminal

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/webwire-go/webwire/examples/chatroom/chat"
)

// printer writes whole lines, from any goroutine.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *printer) message(m chat.Message) {
	p.line(fmt.Sprintf("%s  %s: %s", m.Time.Local().Format("15:04"), m.Name, m.Text))
}

func (p *printer) notice(format string, args ...any) {
	p.line("  * " + fmt.Sprintf(format, args...))
}

func (p *printer) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.out, plain(text)) // there is nowhere to report an error
}

// plain returns text without control characters, with all lines but the first indented.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, text)
	return strings.ReplaceAll(text, "\n", "\n       ")
}
