package room

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Amounts is an amount of each compute resource.
type Amounts struct {
	// CPU in cores, e.g. "500m".
	CPU resource.Quantity `json:"cpu"`
	// Memory in bytes, e.g. "1Gi".
	Memory resource.Quantity `json:"memory"`
}

// Resources is what one container asks for and may use at most.
type Resources struct {
	Requests Amounts `json:"requests"`
	Limits   Amounts `json:"limits"`
}

// ResourcesOf builds Resources from quantity literals; it panics on a malformed literal,
// so it is for constants of the program only, never for a user's value.
func ResourcesOf(cpuRequest, memoryRequest, cpuLimit, memoryLimit string) Resources {
	return Resources{
		Requests: Amounts{CPU: resource.MustParse(cpuRequest), Memory: resource.MustParse(memoryRequest)},
		Limits:   Amounts{CPU: resource.MustParse(cpuLimit), Memory: resource.MustParse(memoryLimit)},
	}
}

// AtLeast is the larger amount of each of the two: what a pod counts with whose init
// container asks for other amounts than the containers after it.
func (r Resources) AtLeast(other Resources) Resources {
	larger := func(a, b resource.Quantity) resource.Quantity {
		if b.Cmp(a) > 0 {
			return b
		}
		return a
	}
	of := func(a, b Amounts) Amounts {
		return Amounts{CPU: larger(a.CPU, b.CPU), Memory: larger(a.Memory, b.Memory)}
	}
	return Resources{Requests: of(r.Requests, other.Requests), Limits: of(r.Limits, other.Limits)}
}

// IsZero tells whether nothing was said.
func (r Resources) IsZero() bool { return r == Resources{} }

// Validate reports every amount that is not positive and every request above its limit.
func (r Resources) Validate() error {
	var problems []error
	check := func(what string, request, limit resource.Quantity) {
		for _, v := range []struct {
			kind string
			q    resource.Quantity
		}{{"requests", request}, {"limits", limit}} {
			if v.q.Sign() <= 0 {
				problems = append(problems, fmt.Errorf("%s.%s is %q: set an amount above zero", v.kind, what, v.q.String()))
			}
		}
		if request.Cmp(limit) > 0 {
			problems = append(problems, fmt.Errorf("requests.%s %s is above limits.%s %s: lower the request or raise the limit",
				what, request.String(), what, limit.String()))
		}
	}
	check("cpu", r.Requests.CPU, r.Limits.CPU)
	check("memory", r.Requests.Memory, r.Limits.Memory)
	return errors.Join(problems...)
}
