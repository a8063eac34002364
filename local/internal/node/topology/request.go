package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// A Request is what a user asks of the nodes of a cluster. What is not asked for stays
// as it is.
type Request struct {
	// Nodes is their number; 0 asks for nothing.
	Nodes int
	// Zones are dealt to the nodes in turn.
	Zones []string
	// Labels are of the form NODE:KEY=VALUE, Taints NODE:KEY=VALUE:EFFECT or
	// NODE:KEY:EFFECT. Either replaces all that was asked for before.
	Labels, Taints []string
	// DualStack asks for addresses of both versions of IP, which a new cluster can have.
	DualStack bool
}

// Empty reports whether nothing is asked for.
func (r Request) Empty() bool {
	return r.Nodes == 0 && len(r.Zones)+len(r.Labels)+len(r.Taints) == 0 && !r.DualStack
}

// Apply returns the cluster as requested. The error tells everything that cannot be
// met.
func (c Cluster) Apply(r Request) (Cluster, error) {
	c.Nodes = slices.Clone(c.Nodes)
	switch {
	case r.Nodes < 0 || r.Nodes > MaxNodes:
		return c, fmt.Errorf("nodes: %d: want 1 to %d", r.Nodes, MaxNodes)
	case r.Nodes != 0 && r.Nodes < len(c.Nodes):
		return c, fmt.Errorf("nodes: %d: the cluster has %d, and what a node stores would be lost with it: erase the cluster with `local down` first", r.Nodes, len(c.Nodes))
	}
	for n := len(c.Nodes) + 1; n <= r.Nodes; n++ {
		c.Nodes = append(c.Nodes, newNode(n))
	}
	if r.DualStack {
		c = c.withVersion6()
	}
	var errs []error
	for _, z := range r.Zones {
		errs = append(errs, invalid("zone "+z, validation.IsValidLabelValue(z)))
	}
	if len(r.Zones) > 0 {
		for i := range c.Nodes {
			c.Nodes[i].Zone = r.Zones[i%len(r.Zones)]
		}
	}
	if len(r.Labels) > 0 {
		errs = append(errs, c.setLabels(r.Labels))
	}
	if len(r.Taints) > 0 {
		errs = append(errs, c.setTaints(r.Taints))
	}
	return c, errors.Join(errs...)
}

func (c Cluster) setLabels(all []string) error {
	for i := range c.Nodes {
		c.Nodes[i].Labels = nil
	}
	var errs []error
	for _, s := range all {
		n, text, err := c.split(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("label %q: %w", s, err))
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("label %q: want NODE:KEY=VALUE", s))
			continue
		}
		errs = append(errs, invalid(fmt.Sprintf("label %q", s), append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...)))
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[key] = value
	}
	return errors.Join(errs...)
}

func (c Cluster) setTaints(all []string) error {
	for i := range c.Nodes {
		c.Nodes[i].Taints = nil
	}
	effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	var errs []error
	for _, s := range all {
		n, text, err := c.split(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("taint %q: %w", s, err))
			continue
		}
		i := strings.LastIndexByte(text, ':')
		if i < 0 || !slices.Contains(effects, corev1.TaintEffect(text[i+1:])) {
			errs = append(errs, fmt.Errorf("taint %q: want NODE:KEY=VALUE:EFFECT with one of the effects %v", s, effects))
			continue
		}
		key, value, _ := strings.Cut(text[:i], "=")
		errs = append(errs, invalid(fmt.Sprintf("taint %q", s), append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...)))
		n.Taints = append(n.Taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(text[i+1:])})
	}
	return errors.Join(errs...)
}

// split returns the node that NODE:TEXT names, and the text.
func (c Cluster) split(s string) (*Node, string, error) {
	name, text, ok := strings.Cut(s, ":")
	if !ok {
		return nil, "", errors.New("want NODE:… in front")
	}
	h, err := c.Find(name)
	if err != nil {
		return nil, "", err
	}
	return &c.Nodes[h.Number-1], text, nil
}

func invalid(what string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", what, strings.Join(problems, "; "))
}
