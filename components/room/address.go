package room

import (
	"net/url"
	"strconv"
)

// PortOf is the port of an address with the scheme http or https, which is the scheme's own
// where the address names none: what a link to it has to let through.
func PortOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil { // a URL that parses has a number, or nothing
		return port
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}
