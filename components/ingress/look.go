package ingress

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// version is what nginx says of itself. Who makes another server of it has versions of
// his own.
var version = regexp.MustCompile(`nginx/(\d+)\.(\d+)`)

// look asks the image of a Docker host for its version before it replaces the edge.
func (a *Args) look() *workload.Look {
	if !a.LookIntoImage {
		return nil
	}
	return &workload.Look{Command: []string{"nginx", "-v"}, Judge: func(printed string) error {
		m := version.FindStringSubmatch(printed)
		if m == nil {
			return nil
		}
		of := func(s string) int { n, _ := strconv.Atoi(s); return n } // digits
		least := version.FindStringSubmatch("nginx/" + LeastVersion)
		if of(m[1]) < of(least[1]) || of(m[1]) == of(least[1]) && of(m[2]) < of(least[2]) {
			return fmt.Errorf("edge: the image has %s: name one with nginx %s or later; the running edge was left as it is", m[0], LeastVersion)
		}
		return nil
	}}
}
