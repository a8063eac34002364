package backend

import (
	"errors"
	"testing"

	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
)

func TestAMetricCanBeLeftOut(t *testing.T) {
	names := func(s Scaling) []pulumi.StringInput {
		var found []pulumi.StringInput
		for _, m := range s.metrics() {
			found = append(found, m.(*autoscalingv2.MetricSpecArgs).Resource.(*autoscalingv2.ResourceMetricSourceArgs).Name)
		}
		return found
	}
	cpu, memory := pulumi.String("cpu"), pulumi.String("memory")
	for _, c := range []struct {
		s    Scaling
		want []pulumi.StringInput
	}{
		{Scaling{Min: 1, Max: 2, CPUUtilization: 70, MemoryUtilization: 80}, []pulumi.StringInput{cpu, memory}},
		{Scaling{Min: 1, Max: 2, CPUUtilization: 70}, []pulumi.StringInput{cpu}},
		{Scaling{Min: 1, Max: 2, MemoryUtilization: 80}, []pulumi.StringInput{memory}},
	} {
		assert.NoError(t, errors.Join(c.s.validate()...))
		assert.Equal(t, c.want, names(c.s))
	}
	assert.ErrorContains(t, errors.Join(Scaling{Min: 1, Max: 2}.validate()...), "both 0")
}

func TestPace(t *testing.T) {
	s := Scaling{Min: 1, Max: 2, CPUUtilization: 70}
	assert.Equal(t, Defaults().Scaling.Up, s.paced().Up, "no pace takes the default's")
	assert.Equal(t, Defaults().Scaling.Down, s.paced().Down)
	s.Up = Pace{Percent: 10, PeriodSeconds: 1800}
	s.Down = Pace{StabilizationSeconds: 3600, Percent: 1000, PeriodSeconds: 1}
	assert.Equal(t, s, s.paced(), "a given one stays as it is")
	assert.NoError(t, errors.Join(s.validate()...))
	for says, edit := range map[string]func(*Scaling){
		"Up.StabilizationSeconds is 3601": func(s *Scaling) { s.Up.StabilizationSeconds = 3601 },
		"Up.Percent is 0":                 func(s *Scaling) { s.Up.Percent = 0 },
		"Down.PeriodSeconds is 1801":      func(s *Scaling) { s.Down.PeriodSeconds = 1801 },
		"Min 3 and Max 2":                 func(s *Scaling) { s.Min = 3 },
		"MemoryUtilization is 101":        func(s *Scaling) { s.MemoryUtilization = 101 },
	} {
		wrong := s
		edit(&wrong)
		assert.ErrorContains(t, errors.Join(wrong.validate()...), says)
	}
}
