// The program that makes the site of the documentation, apart from the root module so that
// its Markdown library does not become what users depend on.
module github.com/webwire-go/webwire/internal/check/site

go 1.26.0

require github.com/yuin/goldmark v1.8.7
