package room

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// hostName is a name that resolvers are asked for: labels of at most 63 characters (RFC 1035,
// section 2.3.4; with the underscore, which names of a cluster may have). An international
// name is written as its labels in ASCII, xn--….
var hostName = regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?(\.[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?)*\.?$`)

// IsHost tells whether somebody can be asked there: an IP address, or a name of at most 253
// characters.
func IsHost(v string) bool {
	if address, err := netip.ParseAddr(v); err == nil {
		return address.Zone() == "" // the name of a link is one machine's own
	}
	return len(strings.TrimSuffix(v, ".")) <= 253 && hostName.MatchString(v)
}

// IsPort tells whether it is the number of a port.
func IsPort(v string) bool {
	n, err := strconv.Atoi(v)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == v
}

// Address is a URL of one of the schemes with a host that can be asked, and with a port if
// it names one; nil for what is none.
func Address(raw string, schemes ...string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || !slices.Contains(schemes, u.Scheme) || !IsHost(u.Hostname()) || strings.HasSuffix(u.Host, ":") || u.Port() != "" && !IsPort(u.Port()) {
		return nil
	}
	return u
}

// Shown is an address as a message may repeat it, whether it is one or not: without who logs
// in, and of the query with the names alone. A password may hold whatever parts an address.
func Shown(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	if found {
		scheme += "://"
	} else {
		scheme, rest = "", raw
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = hidden + rest[at:]
	}
	rest, fragment, fragmented := strings.Cut(rest, "#")
	rest, query, asks := strings.Cut(rest, "?")
	if asks {
		var names []string
		for part := range strings.SplitSeq(query, "&") {
			name, _, named := strings.Cut(part, "=")
			if !named {
				name = ""
			} else {
				name += "="
			}
			names = append(names, name+hidden)
		}
		rest += "?" + strings.Join(names, "&")
	}
	if fragmented && fragment != "" {
		rest += "#" + hidden
	}
	return scheme + rest
}

// hidden stands for what no message repeats.
const hidden = "…"

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
