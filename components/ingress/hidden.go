package ingress

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// CheckHidden says why a path of a route, e.g. "API", cannot be one of Upstream.Hidden;
// nil where it can.
func CheckHidden(name, path string) error {
	for _, r := range (&Args{}).routes() {
		if r.name != name {
			continue
		}
		if name == "API" && (path == "/api" || path == "/api/") {
			return fmt.Errorf("%q is the whole API: use a path below it", path)
		}
		return nginx.CheckHidden(path, r.webSockets)
	}
	return fmt.Errorf("no route %q: want that of a field of Routes", name)
}
