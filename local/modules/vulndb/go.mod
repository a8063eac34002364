// The database of known vulnerabilities, which vulncheck reads. It is data: nothing
// imports it, so `go mod tidy` would drop it.
module github.com/alphapulse/alphapulse-infra/local/modules/vulndb

go 1.26

require golang.org/x/vulndb v0.0.0-20261105234957-e22db6528018
