package backend

import (
	"fmt"

	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Scaling are the bounds, targets and pace of the horizontal autoscaler.
type Scaling struct {
	// Min and Max replicas.
	Min, Max int
	// CPUUtilization and MemoryUtilization are targets in percent of the requests; 0
	// leaves a metric out. One of the two is needed.
	CPUUtilization, MemoryUtilization int
	// Up and Down are the pace; the zero value takes that of Defaults.
	Up, Down Pace
}

// IsZero tells whether nothing was said.
func (s Scaling) IsZero() bool { return s == Scaling{} }

// Pace is how fast the number of replicas changes in one direction.
type Pace struct {
	// StabilizationSeconds is how long a proposal has to hold: the most cautious one of
	// this time counts. At most an hour.
	StabilizationSeconds int
	// Percent of the replicas that may come or go in PeriodSeconds, which are half an
	// hour at most.
	Percent, PeriodSeconds int
}

// Up fast, down slowly: doubling every 15 s after a minute of load, halving every minute
// after five quiet ones.
var (
	defaultUp   = Pace{StabilizationSeconds: 60, Percent: 100, PeriodSeconds: 15}
	defaultDown = Pace{StabilizationSeconds: 300, Percent: 50, PeriodSeconds: 60}
)

// paced is a copy with the default pace where none is given.
func (s Scaling) paced() Scaling {
	if s.Up == (Pace{}) {
		s.Up = defaultUp
	}
	if s.Down == (Pace{}) {
		s.Down = defaultDown
	}
	return s
}

// validate reports everything that the autoscaler would be refused for.
func (s Scaling) validate() []error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("Scaling: "+format, v...)) }
	if s.Min < 1 || s.Max < s.Min {
		problem("Min %d and Max %d: want 1 ≤ Min ≤ Max", s.Min, s.Max)
	}
	for _, target := range []struct {
		name    string
		percent int
	}{{"CPUUtilization", s.CPUUtilization}, {"MemoryUtilization", s.MemoryUtilization}} {
		if target.percent < 0 || target.percent > 100 {
			problem("%s is %d: want a percentage of the request from 1 to 100, or 0 to leave it out", target.name, target.percent)
		}
	}
	if s.CPUUtilization == 0 && s.MemoryUtilization == 0 {
		problem("CPUUtilization and MemoryUtilization are both 0: give one of them a target")
	}
	p := s.paced()
	for _, d := range []struct {
		name string
		Pace
	}{{"Up", p.Up}, {"Down", p.Down}} {
		if d.StabilizationSeconds < 0 || d.StabilizationSeconds > 3600 {
			problem("%s.StabilizationSeconds is %d: want 0 to 3600", d.name, d.StabilizationSeconds)
		}
		if d.Percent < 1 {
			problem("%s.Percent is %d: want at least 1", d.name, d.Percent)
		}
		if d.PeriodSeconds < 1 || d.PeriodSeconds > 1800 {
			problem("%s.PeriodSeconds is %d: want 1 to 1800", d.name, d.PeriodSeconds)
		}
	}
	return problems
}

// metrics are what the autoscaler looks at.
func (s Scaling) metrics() autoscalingv2.MetricSpecArray {
	var metrics autoscalingv2.MetricSpecArray
	for _, m := range []struct {
		resource string
		percent  int
	}{{"cpu", s.CPUUtilization}, {"memory", s.MemoryUtilization}} {
		if m.percent == 0 {
			continue
		}
		metrics = append(metrics, &autoscalingv2.MetricSpecArgs{
			Type: pulumi.String("Resource"),
			Resource: &autoscalingv2.ResourceMetricSourceArgs{
				Name: pulumi.String(m.resource),
				Target: &autoscalingv2.MetricTargetArgs{
					Type: pulumi.String("Utilization"), AverageUtilization: pulumi.Int(m.percent),
				},
			},
		})
	}
	return metrics
}

// rules are the pace as the API has it.
func (p Pace) rules() *autoscalingv2.HPAScalingRulesArgs {
	return &autoscalingv2.HPAScalingRulesArgs{
		StabilizationWindowSeconds: pulumi.Int(p.StabilizationSeconds),
		Policies: autoscalingv2.HPAScalingPolicyArray{&autoscalingv2.HPAScalingPolicyArgs{
			Type: pulumi.String("Percent"), Value: pulumi.Int(p.Percent), PeriodSeconds: pulumi.Int(p.PeriodSeconds),
		}},
	}
}
