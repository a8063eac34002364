// What the build finds here is a copy of the module of this name, without its providers of
// DNS: see local/internal/build/generate.go.
module github.com/go-acme/lego/v5

go 1.26.0
