package link

import "strings"

// Conceal returns err without secret in its text, which user code may have put
// there. It unwraps to err.
func Conceal(err error, secret string) error {
	if err == nil || secret == "" {
		return err
	}
	text := err.Error()
	if !strings.Contains(text, secret) {
		return err
	}
	return &concealed{ConcealText(text, secret), err}
}

// ConcealText returns text without secret.
func ConcealText(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, "[session key]")
}

type concealed struct {
	text string
	err  error
}

func (c *concealed) Error() string { return c.text }
func (c *concealed) Unwrap() error { return c.err }
