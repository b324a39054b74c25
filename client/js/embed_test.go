package js_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/webwire-go/webwire/client/js"
)

func TestHandler(t *testing.T) {
	h := js.Handler(fstest.MapFS{
		"page/index.html": {Data: []byte("<title>a page</title>")},
		"page/app.js":     {Data: []byte("import './webwire/index.js';")},
		"secret":          {Data: []byte("not below the page")},
	}, "page")
	for path, want := range map[string]struct {
		status int
		kind   string
		body   string
	}{
		"/":                 {http.StatusOK, "text/html", "a page"},
		"/app.js":           {http.StatusOK, "text/javascript", "import"},
		"/webwire/index.js": {http.StatusOK, "text/javascript", "Client"},
		"/webwire/none.js":  {http.StatusNotFound, "text/plain", ""},
		"/secret":           {http.StatusNotFound, "text/plain", ""},
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		head := rec.Header()
		if rec.Code != want.status || !strings.HasPrefix(head.Get("Content-Type"), want.kind) || !strings.Contains(rec.Body.String(), want.body) {
			t.Errorf("%s: status %d, %s, %q", path, rec.Code, head.Get("Content-Type"), rec.Body)
		}
		if !strings.HasPrefix(head.Get("Content-Security-Policy"), "default-src 'none'") || head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the header is %v", path, head)
		}
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/webwire/index.js", nil))
	again := httptest.NewRequest(http.MethodGet, "/webwire/index.js", nil)
	again.Header.Set("If-None-Match", rec.Header().Get("ETag"))
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, again)
	if rec.Code != http.StatusNotModified {
		t.Errorf("a module that has not changed: status %d", rec.Code)
	}
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", nil))
	if rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", rec.Code)
	}
	defer func() {
		if recover() == nil {
			t.Error("a directory outside is accepted")
		}
	}()
	js.Handler(fstest.MapFS{}, "../page")
}
