package nginx

import (
	"fmt"
	"slices"
)

// CheckHidden says why a path cannot be kept from the outside beside WebSockets on the
// paths of webSockets; nil where it can.
func CheckHidden(path string, webSockets []string) error {
	switch {
	case !isPath(path) || path == "/":
		return fmt.Errorf("%q cannot be hidden from the outside: use a path below the root, of at most %d letters, digits and ._~/-", path, longestPath)
	case slices.Contains(webSockets, path):
		return fmt.Errorf("%q is where WebSockets are: use another path", path)
	}
	return nil
}
